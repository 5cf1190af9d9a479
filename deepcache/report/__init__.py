"""The report: pages and captions made from the results, around which Snakemake writes one HTML file."""

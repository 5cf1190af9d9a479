"""How passes may run, by name: on the command line, in configs and in tables of speed."""

MODES = ("eager", "replay", "compile_shallow", "graph_shallow", "compile", "graph")

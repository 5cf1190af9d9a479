import json
import re

import pandas as pd
import pytest

from deepcache import DeepCacheError
from deepcache.data.prompts import read_prompts

PARTI = 'Prompt\tCategory\tChallenge\tNote\nSalvador Dalí\tPeople\tBasic\t\n"Fly" on a wall. \tArts\tComplex\twords\n'
COCO = {
    "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 3, "file_name": "3.jpg"}],
    "annotations": [
        {"image_id": 3, "id": 9, "caption": "A cat.\n"},
        {"image_id": 7, "id": 8, "caption": "A bus."},
        {"image_id": 3, "id": 1, "caption": "A second caption, though of a lower id."},
    ],
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, message, **arguments):
    with pytest.raises(DeepCacheError) as error:
        read_prompts(path, **arguments)
    assert str(error.value).startswith(f"{path}: ")
    assert re.search(message, str(error.value))
    assert "\n" not in str(error.value)


def test_partiprompts_are_the_prompt_column_with_their_quotation_marks(write):
    assert read_prompts(write("p.tsv", PARTI)) == ["Salvador Dalí", '"Fly" on a wall.']
    assert read_prompts(write("q.tsv", "Note\tPrompt\r\nx\ta b\r\n")) == ["a b"]


def test_coco_takes_the_first_caption_of_each_image_in_file_order(write):
    assert read_prompts(write("c.json", json.dumps(COCO))) == ["A bus.", "A cat."]


@pytest.mark.parametrize(
    "content", ["one\ntwo words", "one\ntwo words\n", "one\r\n two words\r\n", "\ufeffone\ntwo words"]
)
def test_text_is_a_prompt_a_line(write, content):
    assert read_prompts(write("t.txt", content)) == ["one", "two words"]


def test_only_line_feeds_end_a_prompt(write):
    assert read_prompts(write("t.txt", "a\u2028b\x0cc\nd")) == ["a\u2028b\x0cc", "d"]


def test_the_limit_takes_the_first(write):
    path = write("t.txt", "a\nb\nc\n")
    assert read_prompts(path, limit=2) == ["a", "b"]
    assert read_prompts(path, limit=3) == ["a", "b", "c"]
    refused(path, "holds 3 prompts, 4 are asked for", limit=4)
    refused(path, "limit must be at least 1, not 0", limit=0)


def test_the_kind_overrides_the_suffix(write):
    assert read_prompts(write("p.dat", PARTI), kind="partiprompts")[0] == "Salvador Dalí"
    assert read_prompts(write("p.tsv", "a\tb\n"), kind="text") == ["a\tb"]
    refused(write("p.dat", PARTI), r"none of \.tsv, \.json, \.txt")
    refused(write("p.txt", "a"), "kind must be one of partiprompts, coco, captions, text, not 'yaml'", kind="yaml")


@pytest.mark.parametrize("name", ["p.tsv", "c.json", "t.txt"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_file_is_refused(write, name, content):
    refused(write(name, content), "the file is empty")


@pytest.mark.parametrize("name", ["p.tsv", "c.json", "t.txt"])
def test_another_encoding_is_refused_with_its_place(write, name):
    refused(write(name, "Prompt\nDalí\n".encode("latin-1")), "line 2, byte 10: not UTF-8: save it as UTF-8")
    refused(write(name, b"\xef\xbb\xbf" + "Prompt\nDalí\n".encode("latin-1")), "line 2, byte 13")
    refused(write(name, "a cat".encode("utf-16")), "line 1, byte 0")


@pytest.mark.parametrize("content", ["a\n\nc\n", "a\n \t\nc", "a\n\n"])
def test_an_empty_line_of_text_is_refused(write, content):
    refused(write("t.txt", content), "line 2 is empty")


@pytest.mark.parametrize("row", ["", "People\t", "only a category"])
def test_a_row_without_a_prompt_is_refused(write, row):
    refused(write("p.tsv", f"Category\tPrompt\nx\tfirst\n{row}\ny\tlast\n"), "line 3 has no prompt")


def test_a_missing_column_is_refused_with_those_there_are(write):
    refused(write("p.tsv", "prompt\tNote\na\tb\n"), "line 1: no column 'Prompt' among 'prompt', 'Note'")


def test_a_header_alone_is_refused(write):
    refused(write("p.tsv", "Prompt\tNote\n"), "holds no prompts")
    refused(write("c.json", '{"images": [], "annotations": []}'), "holds no prompts")


def test_broken_json_is_refused_with_its_place(write):
    refused(write("c.json", '{"images": [],\n "annotations": [}'), "line 2, column 18: not JSON")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"images": [{"id": 1}]},
        {"images": [1], "annotations": []},
        {"images": [{"id": 1}], "annotations": [{"image_id": 1}]},
        {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": 5}]},
        {"images": [{"id": [1]}], "annotations": []},
    ],
)
def test_other_json_is_refused(write, content):
    refused(write("c.json", json.dumps(content)), 'not COCO captions, which have "images"')


@pytest.mark.parametrize("caption", [None, " \n"])
def test_an_image_without_a_caption_is_refused(write, caption):
    annotations = [a for a in COCO["annotations"] if a["image_id"] == 7]
    if caption is not None:
        annotations.append({"image_id": 3, "id": 2, "caption": caption})
    refused(write("c.json", json.dumps(COCO | {"annotations": annotations})), "image 3 has no caption")


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.txt", "No such file")
    (tmp_path / "folder.txt").mkdir()
    refused(tmp_path / "folder.txt", "Is a directory")


CAPTIONS = 'id\tcaption\twidth\n7\tA city at night.\t640\n9\t"A ""big""\ttab\nand line "\t480\n11\ta 6" pizza\t1\n'


def test_captions_are_that_column_read_as_pandas_reads_it(write):
    path = write("c.tsv", CAPTIONS)
    expected = ["A city at night.", 'A "big"\ttab\nand line', 'a 6" pizza']
    assert read_prompts(path, kind="captions") == expected
    assert [text.strip() for text in pd.read_csv(path, sep="\t")["caption"]] == expected
    assert read_prompts(write("b.tsv", "\ufeffcaption\r\na cat\r\n"), kind="captions") == ["a cat"]
    assert read_prompts(path, kind="captions", limit=1) == expected[:1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\tCaption\n1\tx\n", "line 1: no column 'caption' among 'id', 'Caption'"),
        ("id\tcaption\n1\ta cat\n2\t \n", "line 3 has no prompt: every prompt must have some text"),
        ("id\tcaption\n1\ta cat\n\n2\ta dog\n", "line 3 has no prompt"),
        ("id\tcaption\n1\n", "line 2 has no prompt"),
        ("id\tcaption\n", "holds no prompts"),
        (
            "caption\tid\na\tcat\t1\n",
            "line 2 has 3 cells, but line 1 names 2 columns: write a cell that holds a tab in",
        ),
        ('caption\tid\n"a cat\t1\n', "line 2: unexpected end of data: close quotation marks"),
        ('caption\tid\n"a" cat\t1\n', "line 2: .*: close quotation marks"),
    ],
)
def test_bad_captions_are_a_line(write, content, message):
    refused(write("c.tsv", content), message, kind="captions")

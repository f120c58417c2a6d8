"""Tags and notes that come back as a table: which rows are which samples, what is taken, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from legrad_widget.inspection import Inspection, InspectionError, open_inspection
from tests.inspection import world

HOSTILE = "<img src=x onerror=alert(1)>"
PAGE = ["sample", "path", "label", "predicted", "p_true", "tags", "note"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return Inspection(world.classifier(), world.folder(tmp_path_factory.mktemp("pictures")), cache=False).run(False)


@pytest.fixture
def r(scored: Inspection) -> Inspection:
    scored.tags.clear()
    scored.notes.clear()
    scored.changed()
    return scored


def guarded(text: str) -> str:
    """As js/src/inspection/csv.ts writes text; that it does is tested there."""
    return f"'{text}" if text.lstrip("'")[:1] in {*"=+-@\t\r"} else text


def written(r: Inspection, path: Path, marks: dict[int, tuple[str, str]], delimiter: str = ",", **options: Any) -> Path:
    """What the page writes of some samples."""
    made = io.StringIO(newline="")
    table = csv.writer(made, delimiter=delimiter)
    table.writerow(PAGE)
    frame = r.frame
    for at, (tags, note) in marks.items():
        row = frame.loc[at]
        sure = f"{row['p_true']:.7g}"
        table.writerow([at, row["path"], row["label"], row["predicted"], sure, guarded(tags), guarded(note)])
    path.write_text(made.getvalue(), newline="", **{"encoding": "utf-8", **options})
    return path


def marks(r: Inspection, *rows: int) -> list[tuple[tuple[str, ...], str]]:
    return [(r.tags.get(at, ()), r.notes.get(at, "")) for at in rows]


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ("odd, seen", 'cut off, "so"'),
        (HOSTILE, HOSTILE),
        ("=1+1, @b", '=HYPERLINK("x")'),
        ("'=quoted", "''-1"),
        ("'plain", "-\n=two lines\r\nof three; with a semicolon"),
        ("ähnlich 猫", "\tbegins with a tab"),
    ],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"encoding": "utf-8-sig"}, {"encoding": "utf-16"}, {"delimiter": ";"}, {"delimiter": "\t"}],
    ids=["page", "bom", "utf-16", "semicolons", "tabs"],
)
def test_what_the_page_writes_comes_back_to_the_letter(r, tmp_path, tags, note, options):
    found = r.read_tags(written(r, tmp_path / "marked.csv", {3: (tags, note), 5: ("", "")}, **options))
    assert marks(r, 3, 5) == [(tuple(tags.split(", ")), note), ((), "")]
    assert (found.rows, found.matched, found.tagged, found.noted) == (2, 2, (3,), (3,))
    assert str(found) == "Samples here: 2 of 2 rows. Tags changed on 1 sample, notes on 1."
    assert r.frame.loc[3, "note"] == note
    assert str(r.read_tags(tmp_path / "marked.csv")) == "Samples here: 2 of 2 rows. Nothing changed."


def test_the_frames_own_table_comes_back_and_nothing_is_taken_off_there(r, tmp_path):
    r.tag("'=quoted", [2])
    r.note(2, "'=1")
    r.frame.to_csv(tmp_path / "frame.csv")
    r.tags.clear()
    r.notes.clear()
    r.read_tags(tmp_path / "frame.csv")
    assert marks(r, 2) == [(("'=quoted",), "'=1")]


def test_merging_loses_nothing_and_replacing_takes_the_file_at_its_word(r, tmp_path):
    r.tag("here", [1, 2, 9])
    for at, text in {1: "dark", 2: "mine", 3: "gone", 9: "not in the file"}.items():
        r.note(at, text)
    file = written(r, tmp_path / "a.csv", {1: ("there", "dark, and cut off"), 2: ("", "theirs"), 3: ("", "")})
    found = r.read_tags(file)
    assert marks(r, 1, 2, 3) == [(("here", "there"), "dark, and cut off"), (("here",), "mine"), ((), "gone")]
    assert (found.tagged, found.noted, found.kept) == ((1,), (1,), (2,))
    assert "Other notes that are here stay (sample 2); replace=True takes the file's." in str(found)
    found = r.read_tags(file, replace=True)
    assert marks(r, 1, 2, 3, 9) == [
        (("there",), "dark, and cut off"), ((), "theirs"), ((), ""), (("here",), "not in the file"),
    ]  # fmt: skip
    assert (found.tagged, found.noted, found.kept) == ((1, 2), (2, 3), ())


def test_a_column_that_is_not_there_changes_nothing(r, tmp_path):
    r.tag("here", [1])
    r.note(1, "mine")
    path = r.frame.loc[1, "path"]
    (tmp_path / "a.csv").write_text(f'sample,path,note\r\n1,"{path}",theirs\r\n')
    r.read_tags(tmp_path / "a.csv", replace=True)
    assert marks(r, 1) == [(("here",), "theirs")]


def test_another_order_of_the_same_files_is_placed_by_the_file(r, tmp_path):
    file = written(r, tmp_path / "a.csv", {4: ("odd", ""), 6: ("even", "")})
    text = file.read_text().replace("\n6,", "\n99,").replace("\n4,", "\n6,")
    file.write_text(text, newline="")
    r.read_tags(file)
    assert marks(r, 4, 6) == [(("odd",), ""), (("even",), "")]


def test_a_number_alone_places_nothing(r, tmp_path):
    rows = f'0,/elsewhere/0.png,x,\r\n1,"{r.frame.loc[1, "path"]}",y,\r\n2,,z,\r\n3,/elsewhere/3.png,,\r\n'
    (tmp_path / "a.csv").write_text(f"sample,path,tags,note\r\n{rows}")
    found = r.read_tags(tmp_path / "a.csv")
    assert r.tags == {1: ("y",)}
    assert found.unmatched == {
        2: "no sample here has the file /elsewhere/0.png",
        4: f"it names no file, and sample 2 here is {r.frame.loc[2, 'path']}",
    }
    says = "2 rows with tags or a note could not be placed, see unmatched; line 2: no sample here has the file"
    assert says in str(found)


def test_a_file_that_is_there_twice_is_placed_by_its_number_alone(tmp_path):
    files = [next(world.folder(tmp_path / "p").rglob("*.png"))] * 2
    r = Inspection(world.classifier(), files, [0, 1], cache=False).run(False)
    r.read_tags(written(r, tmp_path / "a.csv", {1: ("second", "")}))
    assert r.tags == {1: ("second",)}
    text = (tmp_path / "a.csv").read_text().replace("\n1,", "\n7,")
    (tmp_path / "a.csv").write_text(text, newline="")
    with pytest.raises(InspectionError, match=r"2 samples here have the file .*, and sample 7 is none of them"):
        r.read_tags(tmp_path / "a.csv")


def test_without_files_the_answers_tell_whether_it_is_the_same_sample(tmp_path):
    r = world.inspected(6)
    r.read_tags(written(r, tmp_path / "a.csv", {2: ("odd", "")}))
    assert r.tags == {2: ("odd",)}
    text = (tmp_path / "a.csv").read_text()
    sure = f"{r.frame.loc[2, 'p_true']:.7g}"
    (tmp_path / "a.csv").write_text(text.replace(sure, "0.999"), newline="")
    with pytest.raises(InspectionError, match=r"of another one\. Line 2: .* sample 2 here has another p_true"):
        r.read_tags(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(text.replace("\n2,", "\n3,"), newline="")
    with pytest.raises(InspectionError, match="label or prediction of sample 3 here are others"):
        r.read_tags(tmp_path / "a.csv")


def test_it_is_read_without_the_model_and_kept(r, tmp_path):
    r.save(tmp_path / "audit")
    again = open_inspection(tmp_path / "audit")
    again.read_tags(written(r, tmp_path / "a.csv", {3: ("odd", "why?")}))
    again.save(tmp_path / "audit")
    assert marks(open_inspection(tmp_path / "audit"), 3) == [(("odd",), "why?")]


HEAD = "sample,path,tags,note\r\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the first line of .* has nothing"),
        ("a,b\r\n1,2\r\n", "columns sample, path, and tags or note; the first line of .* has a, b"),
        ("sample,path,loss\r\n", "has sample, path, loss. Export, then"),
        (HEAD, "has a head and no rows"),
        ("sample,path,tags,tags\r\n1,{1},a,b\r\n", r"the column tags is in .* 2 times"),
        (HEAD + "1,{1},a,b,c\r\n", "line 2 of .* has 5 cells and the head 4: a cell with a comma"),
        (HEAD + '1,{1},"a,b\r\n', "line 2 of .* is no CSV"),
        (HEAD + "0,/elsewhere.png,odd,\r\n1,,,\r\n", r"not one of 2 rows .* it is of another one\. Line 2: no sample"),
        (HEAD + "-1,,odd,\r\n", "samples here go from 0 to 13, and it is sample -1"),
        (HEAD + "1,{1},a,\r\n1,{1},b,\r\n", "lines 2 and 3 are both of sample 1, with other note or tags; keep one"),
        (HEAD + f"2,{{2}},fine,\r\n1,{{1}},{'x' * 81},\r\n", "line 3: a tag is a word or a few"),
    ],
)
def test_what_is_no_such_table_is_a_sentence_and_nothing_is_taken(r, tmp_path, text, says):
    names = {str(at): path for at, path in r.frame["path"].items()}
    for at, path in names.items():
        text = text.replace(f"{{{at}}}", path)
    (tmp_path / "a.csv").write_text(text, newline="")
    with pytest.raises(InspectionError, match=says):
        r.read_tags(tmp_path / "a.csv")
    assert (r.tags, r.notes) == ({}, {})


def test_rows_that_say_the_same_twice_are_no_contradiction(r, tmp_path):
    path = r.frame.loc[1, "path"]
    (tmp_path / "a.csv").write_text(HEAD + f"1,{path},a,\r\n\r\n1.0,{path},a,\r\n", newline="")
    assert r.read_tags(tmp_path / "a.csv").matched == 2
    assert r.tags == {1: ("a",)}


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"sample,path,tags\r\n1,\xe4.png,x\r\n", "save it again as 'CSV UTF-8'"), (b"PK\3\4\0\0", "some other kind")],
)
def test_other_kinds_of_files_are_a_sentence(r, tmp_path, data, says):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(InspectionError, match=says):
        r.read_tags(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError):
        r.read_tags(tmp_path / "not there.csv")

"""Tables that are broken or name files they should not."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from tests.hostile.cases import CASES, NOISE, RIGHT_TO_LEFT, SCRIPT, Case, case
from tests.hostile.material import packed, png, rows, table


def table_case(name: str, text: Callable[[], str | bytes] | str | bytes, *expected: str) -> None:
    assert name not in CASES
    CASES[name] = Case(lambda folder: table(folder, text() if callable(text) else text), expected, "set")


table_case("table with a mark of UTF-8", b"\xef\xbb\xbf" + rows().encode(), "works")
table_case("table in UTF-16", rows().encode("utf-16"), "works")
table_case("table in UTF-16 without a mark", rows().encode("utf-16-le"), "works")
table_case("table in an old encoding", rows(lambda i: ("pneumonía", "sano")[i % 2]).encode("cp1252"), "works")
table_case("table with ragged rows", rows() + "5.png\n6.png,a,b,c\n", "works")
table_case("table in which most rows are ragged", "file,label\n" + "1.png,a,b,c\n" * 50 + rows(), "table.ragged")
table_case("table with 01 and 1", rows(lambda i: ("01", "1")[i % 2]), "works")
table_case("table with NA as a label", rows(lambda i: ("NA", "None")[i % 2]), "works")
table_case("table with one file twice", rows() + "0.png,b\n1.png,b\n", "works")
table_case("table of files that are not there",
           "file,label\n" + "".join(f"x{i}.png,{'ab'[i % 2]}\n" for i in range(20)), "table.files")
table_case("table of paths that lead outside",
           "file,label\n../../../../etc/passwd,a\n/etc/shadow,b\n..\\..\\x.png,a\n" + rows()[11:], "works")
table_case("table of nothing but paths that lead outside", "file,label\n../../../../etc/passwd,a\n/etc/shadow,b\n", "table.files")
table_case("table of three million rows", lambda: "file,label\n" + "0.png,a\n" * 3_000_000, "table.too_large")
table_case("table of 400,000 rows", lambda: "file,label\n" + "x.png,a\n1.png,b\n" * 200_000, "table.classes")
table_case("table of 10,000 columns", lambda: ",".join(f"c{i}" for i in range(10_000)) + "\n" + ("x," * 9_999 + "x\n") * 50,
           "table.file")
table_case("table of random bytes", NOISE(100_000).replace(b"\0", b"\0\0"), "table.not_text")
table_case("table that is an image", png(), "table.not_text")
table_case("table that is a workbook", packed({"xl/workbook.xml": b"x"}), "table.not_text")
table_case("table packed with gzip", gzip.compress(rows().encode()), "table.not_text")
table_case("table with zero bytes", rows().encode() + b"\0" * 10 + b"1.png,a\n", "table.not_text")
table_case("table that is empty", b"", "table.empty")
table_case("table of a header only", "file,label\n", "table.empty")
table_case("table of a million empty lines", b"\n" * 400_000, "table.empty")
table_case("table without a header", rows()[11:], "works")
table_case("table of one column", "file\n0.png\n1.png\n", "table.columns")
table_case("table of one class", rows(lambda i: "same"), "table.classes")
table_case("table with a field of 20 MB", lambda: rows() + '15.png,"' + "x" * 20_000_000 + '"\n', "table.quotes")
table_case("table with a quotation mark that never ends", rows() + '1.png,"a\n' + rows()[11:] * 100, "table.quotes")
table_case("table of nothing but quotation marks", b'"' * 3_000_000, "table.quotes")
table_case("table with labels of 10,000 characters", rows(lambda i: "ab"[i % 2] if i < 12 else "x" * 10_000), "works")
table_case("table with nothing but labels of 10,000 characters", rows(lambda i: "xy"[i % 2] * 10_000), "table.rows")
table_case("table with a script as a label", rows(lambda i: (SCRIPT, "=cmd|' /C calc'!A0")[i % 2]), "works")
table_case("table with marks from right to left", rows(lambda i: (RIGHT_TO_LEFT, "normal")[i % 2]), "works")
table_case("table of a different label in each row", lambda: rows(lambda i: f"l{i}"), "works")
table_case("table with two columns of one name",
           "file,label,label\n" + "".join(f"{i}.png,{'ab'[i % 2]},x\n" for i in range(16)), "works")


@case("folder with two tables", "table.which")
def _(folder):
    table(folder, rows())
    (folder / "other.csv").write_text(rows())
    return folder


@case("folder with a table beside its images", "works")
def _(folder):
    return table(folder, rows()).parent


@case("table whose images are links to the outside", "store.no_images")
def _(folder):
    table(folder, "file,label\n" + "".join(f"l{i}.png,{'ab'[i % 2]}\n" for i in range(8)), n=0)
    for i in range(8):
        (folder / f"l{i}.png").symlink_to("/etc/passwd")
    return folder / "labels.csv"

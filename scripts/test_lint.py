"""Shows that the checks of `lint_layers.py` and `lint_house.py` fail when they should."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import lint_house
import lint_layers

SOURCES = Path(__file__).resolve().parent.parent / "Sources" / "ZeroDB"


class TestLayers:
    """What the check of layers says of a copy of the engine with one line more."""

    def problems(self, name: str, line: str) -> list[str]:
        """The problems of the engine whose file has the line at its end."""
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "ZeroDB"
            shutil.copytree(SOURCES, copy)
            with (copy / name).open("a") as file:
                file.write(line + "\n")
            return lint_layers.check(copy)

    def test_the_engine_as_it_is_passes(self) -> None:
        assert lint_layers.check(SOURCES) == []

    def test_a_type_of_a_layer_above_is_found(self) -> None:
        for name, upwards in [
            ("Platform/SystemCall.swift", "PageReference"),
            ("Format/Page.swift", "Store"),
            ("Store/Log.swift", "TreeWriter"),
            ("Tree/TreeRead.swift", "TransactionState"),
            ("Transaction/Commit.swift", "Verification"),
            ("Maintenance/Verification/Verification.swift", "Environment"),
            ("Environment/Environment.swift", "WriteTransaction"),
        ]:
            found = self.problems(name, f"let upwards: {upwards}? = nil")
            assert len(found) == 1
            assert f"{upwards} is of" in found[0]

    def test_a_function_of_a_layer_above_is_found(self) -> None:
        found = self.problems("Format/Page.swift", "func upwards() { makeCheckpoint() }")
        assert len(found) == 1

    def test_a_name_in_a_comment_or_a_string_is_no_reference(self) -> None:
        assert self.problems("Format/Page.swift", '// Store\nlet text = "Store"') == []
        assert len(self.problems("Format/Page.swift", r'let t = "\(Store.self)"')) == 1

    def test_an_unretained_reference_below_environment_is_found(self) -> None:
        line = "func upwards(_ it: Unmanaged<AnyObject>) { _ = it.takeUnretainedValue() }"
        assert len(self.problems("Store/Store.swift", line)) == 1

    def test_a_folder_that_is_no_layer_is_found(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "Attic").mkdir()
            (Path(directory) / "Attic" / "Old.swift").write_text("struct Old {}\n")
            assert len(lint_layers.check(Path(directory))) == 1


class TestHouse:
    """What the check of words, names and links says of a small project."""

    def problems(self, **files: str) -> list[str]:
        """The problems of a project with these files; `_md` at a name's end is its ending."""
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            subprocess.run(["git", "init", "-q", directory], check=True)
            for name, text in files.items():
                (root / name.replace("_", ".")).write_text(text)
            return lint_house.check(root)

    def test_a_retired_word_is_found(self) -> None:
        word = "we" + "ight"
        assert len(self.problems(a_swift=f"// The {word} of it.\n")) == 1
        assert len(self.problems(a_swift=f"let {word}Sum = 1\n")) == 1

    def test_a_name_that_nothing_has_is_found(self) -> None:
        assert len(self.problems(a_swift="// See `Gone`.\nstruct Here {}\n")) == 1
        assert self.problems(a_swift="// See `Here`.\nstruct Here {}\n") == []

    def test_a_link_that_leads_nowhere_is_found(self) -> None:
        assert len(self.problems(a_md="[x](b.md)\n")) == 1
        assert len(self.problems(a_md="[x](#no)\n# Yes\n")) == 1
        assert self.problems(a_md="[x](#yes-sir)\n# Yes, sir\n") == []

    def test_another_address_of_the_project_is_found(self) -> None:
        makefile = "PROJECT_URL = https://zer" + "odb.example\n"
        right = "https://zer" + "odb.example/a.git and some@zer" + "odb.example\n"
        for wrong in (
            "https://zer" + "odb.org\n",
            "some@zer" + "odb.io\n",
            "https://<ho" + "st>/a\n",
        ):
            assert len(self.problems(Makefile=makefile, a_md=wrong)) == 1
        assert self.problems(Makefile=makefile, a_md=right) == []

    def test_a_name_of_c_in_a_message_of_the_engine_is_found(self) -> None:
        names = '"ZDB_CREATE": "createDatabase",'

        def problems(line: str) -> list[str]:
            return lint_house.check_messages(Path("a.swift"), line, names)

        assert len(problems('throw error("use ZDB_CREATE")')) == 1
        assert problems(r'throw error("use \(c: "ZDB_CREATE")")') == []
        assert len(problems(r'throw error("use \(c: "ZDB_DUPSORT")")')) == 1
        assert problems("// as ZDB_CREATE does") == []

    def test_a_long_line_is_found(self) -> None:
        assert len(self.problems(a_c="/* " + "x " * 80 + "*/\n")) == 1

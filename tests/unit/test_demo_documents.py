"""Where the demo's texts come from."""

from pathlib import Path

import pytest

from cognition.errors import ConfigurationError
from cognition_flows.demo.documents import read_documents


def test_packages_of_the_environment_are_described() -> None:
    """Without a file the texts are real descriptions of installed packages, each with its name."""
    texts = read_documents(None, 5)

    assert 5 == len(texts)
    assert all(": " in text and len(text) > 20 for text in texts)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.txt", "first\nline\n\nsecond\n\n\n"),
        ("texts.jsonl", '{"id": 1, "text": "first\\nline"}\n"second"\n'),
        ("texts.csv", 'id,text\n1,"first\nline"\n2,second\n'),
    ],
)
def test_files_give_their_texts(tmp_path: Path, name: str, content: str) -> None:
    """Paragraphs, JSON lines and CSV rows are texts; empty ones are left out."""
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")

    assert ["first\nline", "second"] == read_documents(file, 10)


def test_no_more_texts_than_asked_for(tmp_path: Path) -> None:
    """The count is a limit."""
    file = tmp_path / "texts.txt"
    file.write_text("one\n\ntwo\n\nthree", encoding="utf-8")

    assert ["one", "two"] == read_documents(file, 2)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.txt", b" \n\n", "holds no text"),
        ("latin.txt", "Köln".encode("latin-1"), "is not a .txt file in UTF-8"),
        ("broken.jsonl", b"{nothing", "is not a .jsonl file"),
    ],
)
def test_unusable_files_are_explained(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    """A file without text, in another encoding or of another form is refused with a sentence that says so."""
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=sentence):
        read_documents(file, 10)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    """A name that leads nowhere is told with the reason."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_documents(tmp_path / "nothing.txt", 10)

"""Pieces of a page in Markdown."""


def cells(values):
    return "| " + " | ".join(str(value).replace("|", "\\|") for value in values) + " |"


def text_table(head, rows):
    return "\n".join([cells(head), cells(["---"] * len(head)), *map(cells, rows)]) + "\n"


def section(title, text):
    return f"## {title}\n\n{text}" if text else ""

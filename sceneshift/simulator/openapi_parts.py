"""The phrases that the OpenAPI document repeats."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def object_of(properties: Document, *, required: list[str] | None = None, **more: Any) -> Document:
    """An object with these properties, all of them required unless `required` names some."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        **more,
    }


def list_of(items: Document, **more: Any) -> Document:
    return {"type": "array", "items": items, **more}


def reference(schema: str) -> Document:
    """The schema of this name, wherever it is described."""
    return {"$ref": f"#/components/schemas/{schema}"}

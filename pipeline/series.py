"""Series: label tuples, their text, and the labels an SLO may select or group by.

Pure. The cap on distinct series and the ids live in `SeriesTable`; the kernel only sees dense ids.
"""

#: label -> how it is made of the event: a string field, an enum, a boolean, or derived. Bounded vocabularies
#: only.
LABELS: dict[str, str] = {
    "service": "string",
    "request_model": "string",
    "tenant_id": "string",
    "region": "string",
    "operation": "string",
    "priority_class": "derived",
    "variant": "string",
    "provider": "string",
    "response_model": "string",
    "adapter": "string",
    "objective": "string",
    "endpoint_id": "string",
    "engine": "string",
    "accelerator": "string",
    "vantage": "enum",
    "stream": "boolean",
    "cold_start": "boolean",
    "final_attempt": "boolean",
}

#: every stored series has these, whatever the SLOs ask (view `sli`). With the vantage, so that what a gateway
#: and what an engine measured of one request never mix.
BASE_LABELS = (
    "service",
    "request_model",
    "tenant_id",
    "region",
    "operation",
    "priority_class",
    "variant",
    "vantage",
)

#: sign of `priority` -> class, after the inference gateways' criticality.
PRIORITY_CLASSES = {-1: "sheddable", 0: "standard", 1: "critical"}

#: the value of a label whose real one is past a limit
OTHER = "other"

_ESCAPES = str.maketrans({"\\": "\\\\", ",": "\\,", "=": "\\="})


def label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Write labels as `a=x,b=y`; backslash, comma and equals sign in values are escaped."""
    return ",".join(f"{name}={value.translate(_ESCAPES)}" for name, value in zip(names, values, strict=True))


def parse_label_text(text: str) -> dict[str, str]:
    """Read what `label_text` wrote: parse_label_text(label_text(n, v)) == dict(zip(n, v))."""
    if "\\" not in text:
        pairs = (pair.partition("=") for pair in text.split(",") if pair)
        return {name: value for name, _, value in pairs}
    labels: dict[str, str] = {}
    part, name, escaped = "", "", False
    for char in text + ("," if text else ""):
        if escaped or char not in "\\,=":
            part, escaped = part + char, False
        elif char == "\\":
            escaped = True
        elif char == "=":
            name, part = part, ""
        else:
            labels[name], part = part, ""
    return labels

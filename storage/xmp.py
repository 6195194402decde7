"""The XMP packet that says how an image came about, made anew or put into the one that is there.

IPTC's `DigitalSourceType` is what shops, search engines and viewers read. A photo with a generated background is a
`compositeWithTrainedAlgorithmicMedia`. Whatever else a packet says stays as it is.
"""

from __future__ import annotations

from typing import Any
from xml.dom import minidom
from xml.parsers.expat import ExpatError

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
PACKET_MAX_BYTES = 256 * 1024
"""A larger packet is replaced: nobody writes one, and taking it apart costs a hundred times its size."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PROPERTY = "DigitalSourceType"
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_FRESH = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
    f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{_IPTC}">'
    f"<Iptc4xmpExt:{_PROPERTY}>{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:{_PROPERTY}>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def labelled_packet(packet: bytes | None, *, max_bytes: int = PACKET_MAX_BYTES) -> bytes:
    """A packet of at most so many bytes that names the source type, once, and all that the given one says.

    One that does so already is returned as it is.
    One that cannot be read, that declares a document type, or that would become too large is replaced by our own.
    """
    merged = _merged(packet) if packet and len(packet) <= PACKET_MAX_BYTES else None
    if merged is None or len(merged) > max_bytes:
        return f"{_BEGIN}{_FRESH}{_END}".encode()
    return merged


def _merged(packet: bytes) -> bytes | None:
    try:
        # A declaration may name an encoding in which a document type looks like something else.
        text = packet.decode("utf-8-sig").strip()
        if any(word in text for word in ("<!DOCTYPE", "<!ENTITY", "<?xml ")):
            return None
        with minidom.parseString(text.encode()) as document:  # noqa: S318 - nothing is declared in it
            rdf = next(iter(document.getElementsByTagNameNS(_RDF, "RDF")), None)
            if rdf is None:
                return None
            if _values(rdf) == [DIGITAL_SOURCE_TYPE]:
                return packet
            _remove(rdf)
            _add(document, rdf)
            inner = "".join(node.toxml() for node in document.childNodes if node.nodeName != "xpacket")
            return f"{_BEGIN}{inner}{_END}".encode()
    except (ExpatError, ValueError, LookupError, RecursionError):
        return None


def _values(rdf: Any) -> list[str]:
    """Each source type that a description names, in either way of writing."""
    descriptions = rdf.getElementsByTagNameNS(_RDF, "Description")
    attributes = [each.getAttributeNS(_IPTC, _PROPERTY) for each in descriptions]
    elements = [
        "".join(node.data for node in each.childNodes if node.nodeType == node.TEXT_NODE)
        for each in rdf.getElementsByTagNameNS(_IPTC, _PROPERTY)
    ]
    return [value for value in attributes if value] + elements


def _remove(rdf: Any) -> None:
    """No description names a source type any more, in either way of writing."""
    for description in rdf.getElementsByTagNameNS(_RDF, "Description"):
        if description.hasAttributeNS(_IPTC, _PROPERTY):
            description.removeAttributeNS(_IPTC, _PROPERTY)
    for element in rdf.getElementsByTagNameNS(_IPTC, _PROPERTY):
        element.parentNode.removeChild(element)


def _add(document: Any, rdf: Any) -> None:
    prefix = f"{rdf.prefix}:" if rdf.prefix else ""
    description = document.createElementNS(_RDF, f"{prefix}Description")
    # An attribute without a prefix is in no namespace, so one is declared where RDF is the default.
    description.setAttribute("xmlns:rdf", _RDF)
    description.setAttribute("rdf:about", "")
    description.setAttribute("xmlns:Iptc4xmpExt", _IPTC)
    source_type = document.createElementNS(_IPTC, f"Iptc4xmpExt:{_PROPERTY}")
    source_type.appendChild(document.createTextNode(DIGITAL_SOURCE_TYPE))
    description.appendChild(source_type)
    rdf.appendChild(description)

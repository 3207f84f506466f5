"""A data set's description for machines: Croissant 1.0 (JSON-LD), which ``mlcroissant`` and search engines read.

Specification: https://docs.mlcommons.org/croissant/docs/croissant-spec.html. Each file is a ``FileObject`` with its
checksum; each table is a ``FileSet`` of its files and a ``RecordSet`` of its columns. What only the owner knows and the
specification asks for (``url``, ``citeAs``, ``datePublished``) is left to the owner.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kie_notes.dataset.features import MEANINGS, TABLES

if TYPE_CHECKING:
    from pathlib import Path

_PARQUET: Final = "application/x-parquet"

#: The context that the specification gives.
_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def make_croissant(folder: Path, sums: dict[str, str], *, name: str, licence: str | None) -> str:
    """Describe the tables of a folder; ``sums`` has the SHA-256 of each file by its path in the folder."""
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": "Transcribed notes, one row per note, and their tasks, one row per task. README.md tells more.",
        "version": "1.0.0",
        **({"license": licence} if licence else {}),
        "distribution": [],
        "recordSet": [],
    }
    for table, grain in TABLES.items():
        files = [path for path in sums if path.startswith(f"{table}/")]
        document["distribution"] += [_file(folder, path, sums[path]) for path in files]
        document["distribution"].append(
            {
                "@type": "cr:FileSet",
                "@id": f"{table}-files",
                "name": f"{table}-files",
                "description": f"The files of the table {table}.",
                "encodingFormat": _PARQUET,
                "includes": f"{table}/*.parquet",
            }
        )
        fields = [_field(table, one) for one in pq.read_schema(folder / files[0])]
        document["recordSet"].append(
            {"@type": "cr:RecordSet", "@id": table, "name": table, "description": grain, "field": fields}
        )
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _file(folder: Path, path: str, sha256: str) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{(folder / path).stat().st_size} B",
        "encodingFormat": _PARQUET,
        "sha256": sha256,
    }


def _field(table: str, column: pa.Field) -> dict[str, Any]:
    listed = pa.types.is_list(column.type)
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "description": MEANINGS[table].get(column.name, "a column of the owner's"),
        "dataType": _data_type(column.type.value_type if listed else column.type),
        **({"repeated": True} if listed else {}),
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": column.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    tests = {
        "sc:Boolean": pa.types.is_boolean,
        "sc:Integer": pa.types.is_integer,
        "sc:Float": pa.types.is_floating,
        "sc:Date": pa.types.is_date,
        "sc:DateTime": pa.types.is_timestamp,
    }
    return next((name for name, test in tests.items() if test(kind)), "sc:Text")

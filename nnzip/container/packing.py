"""A manifest and the archive's arrays <-> the bytes of the member that holds both.

byte      format
deflate   the manifest as JSON without spaces, by raw deflate with the preset dictionary (dictionary.txt)
rest      the archive's arrays
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context
from typing import Any

import msgspec
from msgspec.structs import replace

from nnzip.container.deflate import deflate, inflate_first, manifest_dictionary
from nnzip.container.limits import FORMAT_VERSION, OLDEST_FORMAT, max_manifest_bytes, max_manifest_tokens
from nnzip.container.manifest import AchievedErrors, Manifest, RawVariable
from nnzip.errors import CorruptArchiveError, InputError, NewerFormatError

_ERROR_DIGITS = 4
_TOKENS = (b",", b":", b"[", b"{")


def pack(manifest: Manifest, arrays: bytes) -> bytes:
    """The member's bytes. Raises InputError for text and numbers that JSON cannot carry."""
    natural = (*manifest.variables, *manifest.lossless)
    brief = replace(
        manifest,
        order=() if manifest.order == natural else manifest.order,
        coordinates={name: _brief(name, raw) for name, raw in manifest.coordinates.items()},
        lossless={name: _brief(name, raw) for name, raw in manifest.lossless.items()},
        errors={name: _rounded(manifest, name, errors) for name, errors in manifest.errors.items()},
    )
    _require_storable(msgspec.to_builtins(brief), "the manifest")
    data = msgspec.json.encode(brief)
    return bytes([manifest.format]) + deflate(data, manifest_dictionary()) + arrays


def unpack(data: bytes, file_bytes: int) -> tuple[Manifest, bytes]:
    """The manifest and the arrays, unchecked but for their types, out of a file of `file_bytes`.

    Raises NewerFormatError for a later format and CorruptArchiveError for anything malformed.
    """
    version = data[0] if data else 0
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"the archive has format {version}, this nnzip reads formats {OLDEST_FORMAT} to {FORMAT_VERSION}:"
            " update nnzip (pip install -U nnzip)"
        )
    if version < OLDEST_FORMAT:
        raise CorruptArchiveError(f"the manifest has format {version}; there is none before {OLDEST_FORMAT} here")
    text, arrays = inflate_first(data[1:], max_manifest_bytes(file_bytes), manifest_dictionary())
    tokens, limit = sum(text.count(token) for token in _TOKENS), max_manifest_tokens(file_bytes)
    if tokens > limit:
        raise CorruptArchiveError(f"the manifest has {tokens} tokens; the limit for {file_bytes} bytes is {limit}")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptArchiveError(f"the manifest is not as nnzip writes it: {error}") from error
    if manifest.format > version:
        raise CorruptArchiveError(f"the manifest says format {version} and has what came with {manifest.format}")
    complete = replace(
        manifest,
        order=manifest.order or (*manifest.variables, *manifest.lossless),
        coordinates={name: _full(manifest, name, raw) for name, raw in manifest.coordinates.items()},
        lossless={name: _full(manifest, name, raw) for name, raw in manifest.lossless.items()},
    )
    return complete, arrays


def _brief(name: str, raw: RawVariable) -> RawVariable:
    return replace(raw, dims=()) if raw.dims == (name,) else raw


def _full(manifest: Manifest, name: str, raw: RawVariable) -> RawVariable:
    return replace(raw, dims=(name,)) if not raw.dims and name in manifest.dims else raw


def _rounded(manifest: Manifest, name: str, errors: AchievedErrors) -> AchievedErrors:
    """Four digits; the largest error is rounded up, but not above a bound that it keeps."""
    rmse, bias = (float(f"{value:.{_ERROR_DIGITS}g}") for value in (errors.rmse, errors.bias))
    up = Context(prec=_ERROR_DIGITS, rounding=ROUND_CEILING)
    largest = float(up.create_decimal_from_float(errors.max_error))
    bound = manifest.variables[name].bound if name in manifest.variables else None
    return AchievedErrors(rmse, min(largest, bound) if bound and errors.max_error <= bound else largest, bias)


def _require_storable(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}, which an archive can only hold as text")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{where} is {value!r}, which is no valid Unicode text: change or remove it") from error
    if isinstance(value, dict):
        for key, item in value.items():
            _require_storable(key, f"a key of {where}")
            _require_storable(item, f"{where}, {key!r}")
    elif isinstance(value, list | tuple):
        for item in value:
            _require_storable(item, where)

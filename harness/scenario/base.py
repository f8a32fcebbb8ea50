"""What all models of a scenario have in common."""

from __future__ import annotations

from pydantic import AliasGenerator, BaseModel, ConfigDict


def _key(name: str) -> str:
    # What Python keeps for itself has an underscore behind it, such as `with_`.
    return name.removesuffix("_ns").removesuffix("_per_s").removesuffix("_bytes").removesuffix("_")


class Model(BaseModel):
    """A frozen mapping, whose keys have no units in a file and have them in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=AliasGenerator(validation_alias=_key, serialization_alias=_key),
        validate_by_name=True,
        validate_by_alias=True,
    )

    @classmethod
    def file_keys(cls) -> list[str]:
        """List the keys that this has in a file."""
        return [_key(name) for name in cls.model_fields]

"""What all settings share: unknown keys are refused, nothing changes once read; and the numbers they are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """One section of a configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

import dataclasses


@dataclasses.dataclass(frozen=True)
class Momentum:
    value: float

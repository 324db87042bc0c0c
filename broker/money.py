"""Money is integers of nano-dollars (1 USD = 1_000_000_000); floats appear only in JSON we send."""

from decimal import Decimal, DecimalException

NANOS_PER_USD = 1_000_000_000


def nanos_from_usd(value: str | float | Decimal) -> int:
    """Read an amount of dollars exactly. Raises ValueError for what is not a finite number."""
    try:
        amount = Decimal(str(value)) * NANOS_PER_USD
    except DecimalException:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ValueError(f"{value!r} is not an amount in US dollars")
    return int(amount.to_integral_value())


def usd(nanos: int) -> float:
    """Convert an amount to the JSON number that API objects show."""
    return nanos / NANOS_PER_USD


def usd_text(nanos: int | Decimal) -> str:
    """Convert an amount to the decimal string of price fields, without an exponent."""
    text = f"{Decimal(nanos) / NANOS_PER_USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

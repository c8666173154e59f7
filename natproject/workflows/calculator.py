"""A calculator that asks before retrying a calculation with a higher limit.

Shows the smallest kind of workflow: a coroutine that returns its answer. There is one prompt, one
step with a dataclass as result, and options from the configuration.
"""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, DecimalException, localcontext

from pydantic import BaseModel, Field

from sessions_app.workflows import BinaryPrompt, Context, Message, Option, workflow

DIGITS = 28
MAX_LENGTH = 500

BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[Decimal], Decimal]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class CalculatorOptions(BaseModel, extra="forbid"):
    """The options of the calculator in `workflows.yaml`."""

    max_operations: int = Field(8, ge=1, description="operations that the first attempt may use")
    max_retries: int = Field(3, ge=0, description="further attempts; each may use twice as many")


@dataclass(frozen=True)
class Attempt:
    """The outcome of one calculation: a result, a problem, or neither at the limit."""

    result: Decimal | None = None
    problem: str = ""


class _LimitError(Exception):
    """The error of a calculation that exceeds the limit of operations."""


@workflow(
    name="calculator",
    title="Calculator",
    description="Works out + - * / ** and parentheses.",
    icon="sum",
    starters=("2 * (3 + 4)", "What is 0.1 + 0.2?", "1+2+3+4+5+6+7+8+9+10+11+12"),
    asks=("to go beyond its limit",),
    options=CalculatorOptions,
)
async def calculator(message: Message, context: Context) -> str:
    """Answer with the value of the expression in the message."""
    # Plain code without effects needs no step: a replay computes the same value from the text.
    expression = find_expression(message.text)
    if not expression:
        return "I found no calculation in that. Try `2 * (3 + 4)`."

    options: CalculatorOptions = context.options
    limit = options.max_operations
    for retries_left in range(options.max_retries, -1, -1):
        # A step runs once: a replay returns the recorded result, converted to an `Attempt`.
        attempt = await context.step(evaluate, expression, limit, title=f"Up to {limit} operations")
        if attempt.problem:
            return f"`{expression}` has no result: {attempt.problem}"
        if attempt.result is not None:
            return f"`{expression}` = **{plain(attempt.result)}**"
        if retries_left:
            answer = await context.ask(
                BinaryPrompt(
                    text=f"This takes more than {limit} operations. Try with up to {2 * limit}?",
                    options=[
                        Option(value="retry", label="Try again"),
                        Option(value="stop", label="Stop here"),
                    ],
                    details={"Expression": expression, "Retries left": retries_left},
                )
            )
            if answer.value == "stop":
                break
            limit *= 2
    return f"`{expression}` takes more than {limit} operations. I stopped there."


def find_expression(text: str) -> str:
    """Return the longest part of the text that looks like a calculation, or ""."""
    text = text.replace("×", "*").replace("÷", "/").replace("^", "**")
    candidates = re.findall(r"[-+(.\d][-+*/().\d\s]*", text)
    longest = max((" ".join(part.split()) for part in candidates), key=len, default="")
    return longest if re.search(r"\d", longest) else ""


def evaluate(expression: str, max_operations: int) -> Attempt:
    """Evaluate the expression to 28 digits, with at most `max_operations` operations.

    Only numbers and arithmetic of the syntax tree are evaluated, so no text can run code.
    """
    if len(expression) > MAX_LENGTH:
        return Attempt(problem=f"it is longer than {MAX_LENGTH} characters.")
    try:
        tree = ast.parse(expression, mode="eval")
        with localcontext() as decimals:
            # Limited precision rounds large numbers, so even 9**9**9 takes no time.
            decimals.prec = DIGITS
            value = _value(tree.body, [max_operations])
        return Attempt(value) if value.is_finite() else Attempt(problem="it is too large.")
    except _LimitError:
        return Attempt()
    except (SyntaxError, ValueError):
        return Attempt(problem="it is not complete, or not arithmetic.")
    except ZeroDivisionError:
        return Attempt(problem="it divides by zero.")
    except DecimalException:
        return Attempt(problem="it is too large, or not a number.")
    except (RecursionError, MemoryError):
        return Attempt(problem="it is nested too deeply.")


def _value(node: ast.expr, operations: list[int]) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Decimal(str(number))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_value(operand, operations))
        case ast.BinOp(left=first, op=op, right=second) if type(op) in BINARY:
            values = _value(first, operations), _value(second, operations)
            if not operations[0]:
                raise _LimitError
            operations[0] -= 1
            return BINARY[type(op)](*values)
    raise ValueError(ast.unparse(node))


def plain(number: Decimal) -> str:
    """Format the number without trailing zeros, and with an exponent only if it is long."""
    short = number.normalize()
    return f"{short:f}" if -20 < short.adjusted() < DIGITS else str(short)

"""mmx: match pictures and words."""

import os
import sys
import traceback
from typing import Annotated, Any

import typer

from mmx import __version__
from mmx.cli.compare import compare
from mmx.cli.evaluate import evaluate
from mmx.cli.export import export
from mmx.cli.extract import extract
from mmx.cli.fewshot import fewshot
from mmx.cli.index import index
from mmx.cli.listings import datasets, doctor, methods, runs
from mmx.cli.predict import predict
from mmx.cli.prepare import prepare
from mmx.cli.push import push
from mmx.cli.replay import replay
from mmx.cli.search import search
from mmx.cli.serve import serve
from mmx.cli.train import train
from mmx.core.errors import Interrupted, MmxError, ResourceError, first_line

# Newer releases of typer carry a click of their own: a name that both have leads to its family of errors.
CLICK_ERROR: Any = typer.BadParameter.mro()[2]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
for command in (
    prepare,
    extract,
    train,
    evaluate,
    compare,
    replay,
    search,
    serve,
    fewshot,
    predict,
    export,
    push,
    methods,
    datasets,
    runs,
    doctor,
):
    app.command()(command)
app.add_typer(index, name="index")


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"mmx {__version__}\n")
        raise typer.Exit


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar="MMX_DEBUG")
    ] = False,
) -> None:
    """Match pictures and words: prepare data, extract features, train, evaluate and search."""
    if debug:
        os.environ["MMX_DEBUG"] = "1"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch is known by its words alone, since loading it takes seconds."""
    names = {kind.__name__ for kind in type(error).mro()}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(error)


def main() -> None:
    """Run the command line; the only place where MmxError is caught and where exit codes are decided."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except MmxError as error:
        if os.environ.get("MMX_DEBUG"):
            traceback.print_exc()
        if str(error):  # another process says it otherwise
            sys.stderr.write(f"mmx: {error}\n")
        code = error.exit_code
    except typer.Abort:
        code = Interrupted.exit_code
    except CLICK_ERROR as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("mmx: interrupted.\n")
        code = Interrupted.exit_code
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if os.environ.get("MMX_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(f"mmx: memory ran out ({first_line(error)}). Try a smaller --batch-size.\n")
        code = ResourceError.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)

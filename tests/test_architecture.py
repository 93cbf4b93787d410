"""The house: who may import whom, where heavy libraries live, and a few rules that a reader relies on."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mmx"
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "cli": {"cli", "web", "workflows", "core"},
    "web": {"web", "workflows", "reports", "core"},
    "workflows": {"workflows", "engine", "encoders", "tasks", "search", "reports", "words", "store", "core"},
    "reports": {"reports", "store", "core"},
    "methods": {"heads", "tasks", "nn", "words", "core"},
    "heads": {"heads", "tasks", "core"},
    "engine": {"engine", "store", "core"},
    "search": {"search", "store", "core"},
    "tasks": {"tasks", "core"},
    "encoders": {"encoders", "core"},
    "corpora": {"corpora", "core"},
    "store": {"store", "core"},
    "words": {"words", "core"},
    "nn": {"nn"},
    "core": {"core"},
}
HOMES_OF_LIBRARIES = {
    "typer": {"cli"},
    "rich": {"cli"},
    "click": {"cli"},
    "transformers": {"encoders"},
    "torchvision": {"encoders"},
    "timm": {"encoders"},
    "peft": {"encoders"},
    "datasets": {"store"},
    "safetensors": {"store", "encoders"},
    "accelerate": {"engine"},
    "onnx": {"engine"},
    "onnxruntime": {"encoders"},
    "tokenizers": {"encoders"},
    "ray": {"engine"},
    "faiss": {"search"},
    "pymilvus": {"search"},
    "milvus_lite": {"search"},
    "grpc": {"search"},
    "duckdb": {"search"},
    "fastapi": {"web"},
    "uvicorn": {"cli"},
    "matplotlib": {"reports"},
    "textblob": {"words"},
    "lemminflect": {"words"},
}
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "misc", "base", "tools", "types"}
# these load what is heavy when it is needed; concepts.py a tagger, the first time a corpus is counted;
# own_data.py torch, for a folder of vectors; extract_engine.py Ray and index_address.py Milvus, when they
# are asked for
LAZY = {
    "core/device.py",
    "core/discover.py",
    "encoders/load.py",
    "workflows/concepts.py",
    "workflows/extract_engine.py",
    "workflows/index_address.py",
    "workflows/own_data.py",
    "workflows/quick_search.py",
}
# what the code of another package raises on import, nobody knows; Ray raises a plain Exception when it does
# not begin
FOREIGN = {"core/plugins.py", "engine/ray_cluster.py"}


Import = ast.Import | ast.ImportFrom
TREES = {path: ast.parse(path.read_text()) for path in FILES}


@functools.cache
def imports(path: Path) -> list[tuple[str, Import]]:
    """Every module that a file imports, with the statement."""
    found: list[tuple[str, Import]] = []
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node))
    return found


@functools.cache
def guarded(path: Path) -> set[ast.AST]:
    """What a type checker alone reads."""
    return {
        inner
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def room(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def may_import(path: Path, module: str) -> bool:
    here = room(path)
    if here is None or module.split(".")[0] != "mmx" or module == "mmx":
        return True
    own = ["mmx", "methods", path.relative_to(PACKAGE).parts[1]]
    return module.split(".")[1] in MAY_IMPORT[here] or (here == "methods" and module.split(".")[:3] == own)


def test_arrows_only_point_down() -> None:
    wrong = [(path, module) for path in FILES for module, _ in imports(path) if not may_import(path, module)]
    assert not wrong


def test_a_library_is_imported_in_its_own_room_only() -> None:
    wrong = [
        (path, module)
        for path in FILES
        for module, _ in imports(path)
        if room(path) not in HOMES_OF_LIBRARIES.get(module.split(".")[0], {room(path)})
    ]
    assert not wrong


def test_imports_stand_at_the_top_except_where_a_command_calls_its_workflow() -> None:
    wrong = [
        (path, ast.unparse(node))
        for path in FILES
        if room(path) != "cli" and str(path.relative_to(PACKAGE)) not in LAZY
        for function in ast.walk(TREES[path])
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, Import) and node not in guarded(path)
    ]
    assert not wrong


def test_core_needs_no_torch_to_be_imported() -> None:
    wrong = [
        (path, module)
        for path in FILES
        if room(path) == "core"
        for module, node in imports(path)
        if node in TREES[path].body and node not in guarded(path)
        if module.split(".")[0] in {"torch", "numpy", "PIL"}
    ]
    assert not wrong


def test_no_assert_and_no_bare_except() -> None:
    broad = {"everything", "Exception", "BaseException", "(Exception, SystemExit)"}
    for path in FILES:
        for node in ast.walk(TREES[path]):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}"
            if isinstance(node, ast.ExceptHandler) and str(path.relative_to(PACKAGE)) not in FOREIGN:
                caught = ast.unparse(node.type) if node.type else "everything"
                assert caught not in broad, f"{path}:{node.lineno}"


def test_no_print_and_nothing_is_read_that_could_run() -> None:
    for path in FILES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.Call):
                called, place = ast.unparse(node.func), f"{path}:{node.lineno}"
                assert called not in {"print", "torch.save", "pickle.load", "pickle.loads"}, place
                if called == "torch.load":
                    assert "weights_only=True" in ast.unparse(node), place
                if called in {"numpy.load", "np.load"}:
                    assert "allow_pickle=False" in ast.unparse(node), place


def test_a_file_has_a_name_that_says_something_and_a_length_one_can_hold() -> None:
    assert not [path for path in FILES if path.stem in NAMES_THAT_SAY_NOTHING]
    assert not [path for path in FILES if path.read_text().count("\n") > 320]


def test_what_is_typed_as_a_path_goes_through_one_function() -> None:
    assert [str(path) for path in FILES if ".expanduser()" in path.read_text()] == []


def test_a_device_is_named_in_one_place() -> None:
    assert not [path for path in FILES if path.name != "device.py" and ".cuda()" in path.read_text()]


def test_a_method_is_named_in_its_own_folder_only() -> None:
    methods = [folder.name for folder in (PACKAGE / "methods").iterdir() if (folder / "__init__.py").exists()]
    for method in methods:
        for path in FILES:
            if (PACKAGE / "methods" / method) not in path.parents:
                text = path.read_text()
                assert method not in text, f"{path} names {method}"


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; sys.argv = ['mmx', '--help']\n"
        "from mmx.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'PIL', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "search" in finished.stdout

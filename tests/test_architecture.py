"""The house: who may import whom, where heavy libraries live, and a few rules that a reader relies on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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


def imports(tree: ast.AST) -> list[tuple[str, ast.AST]]:
    found: list[tuple[str, ast.AST]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node))
    return found


def type_checking_nodes(tree: ast.AST) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def room(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def test_arrows_only_point_down(source: Path) -> None:
    here = room(source)
    if here is None:
        return
    tree = ast.parse(source.read_text())
    for module, _ in imports(tree):
        if module.split(".")[0] != "mmx" or module == "mmx":
            continue
        there = module.split(".")[1]
        own_method = here == "methods" and module.split(".")[:3] == [
            "mmx",
            "methods",
            source.relative_to(PACKAGE).parts[1],
        ]
        assert there in MAY_IMPORT[here] or own_method, f"{source} imports {module}"


def test_a_library_is_imported_in_its_own_room_only(source: Path) -> None:
    for module, _ in imports(ast.parse(source.read_text())):
        homes = HOMES_OF_LIBRARIES.get(module.split(".")[0])
        assert homes is None or room(source) in homes, f"{source} imports {module}"


def test_imports_stand_at_the_top_except_where_a_command_calls_its_workflow(source: Path) -> None:
    relative = str(source.relative_to(PACKAGE))
    if relative.startswith("cli/") or relative in LAZY:
        return
    tree = ast.parse(source.read_text())
    guarded = type_checking_nodes(tree)
    inside = [
        ast.unparse(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in guarded
    ]
    assert not inside


def test_core_needs_no_torch_to_be_imported(source: Path) -> None:
    if room(source) != "core":
        return
    tree = ast.parse(source.read_text())
    guarded = type_checking_nodes(tree)
    top = [module for module, node in imports(tree) if node in tree.body and node not in guarded]
    assert not [module for module in top if module.split(".")[0] in {"torch", "numpy", "PIL"}]


def test_no_pickle_no_print_no_assert_no_bare_except(source: Path) -> None:
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"{source}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            broad = {"everything", "Exception", "BaseException", "(Exception, SystemExit)"}
            foreign = str(source.relative_to(PACKAGE)) in FOREIGN
            assert foreign or caught not in broad, f"{source}:{node.lineno}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "torch.save", "pickle.load", "pickle.loads"}, (
                f"{source}:{node.lineno}"
            )
            if called == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"{source}:{node.lineno}"
            if called in {"numpy.load", "np.load"}:
                assert "allow_pickle=False" in ast.unparse(node), f"{source}:{node.lineno}"


def test_a_file_has_a_name_that_says_something_and_a_length_one_can_hold(source: Path) -> None:
    assert source.stem not in NAMES_THAT_SAY_NOTHING
    assert source.read_text().count("\n") <= 320


def test_a_device_is_named_in_one_place(source: Path) -> None:
    if source.name != "device.py":
        assert ".cuda()" not in source.read_text()


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

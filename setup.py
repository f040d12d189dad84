"""What pyproject.toml cannot say: the labs, their data and the documents lie beside the package in
a checkout, and ship inside it (`zerocopy_lab.checkout` finds them in both places).
"""

from setuptools import find_packages, setup

BESIDE = {
    "labs": ["*.ipynb", "labs.toml", "solutions/*.ipynb"],
    "data": ["flights.jsonl.gz", "*.json", "*/*.json", "machines/*/*.json", "README.md"],
    "docs": ["*.md", "*.svg"],
}

setup(
    packages=[
        *find_packages(include=["zerocopy_lab", "zerocopy_lab.*"]),
        *(f"zerocopy_lab.shipped.{name}" for name in BESIDE),
    ],
    package_dir={f"zerocopy_lab.shipped.{name}": name for name in BESIDE},
    package_data={
        "": ["*.toml", "*.json", "*.jinja", "*.css", "*.c", "py.typed"],
        **{f"zerocopy_lab.shipped.{name}": files for name, files in BESIDE.items()},
    },
)

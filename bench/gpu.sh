#!/usr/bin/env bash
# The first figures on a GPU, in under ten minutes: a table for docs/benchmarks.md.
#
#     bench/gpu.sh                    on a machine where the project is installed
#     bench/gpu.sh pack FOLDER [3.12] fill a folder with the wheels that a machine lacks which has torch, transformers,
#                                     accelerate, peft and pyarrow, and no network; for its version of Python
#     bench/gpu.sh with FOLDER        on that machine, with the folder
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
case ${1:-} in
    pack)
        platforms=()
        for glibc in 2_35 2_34 2_31 2_28 2_27 2_24 2_17; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
        "$python" -m pip download --quiet --no-deps --only-binary :all: --python-version "${3:-3.12}" --implementation cp \
            "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
            --constraint constraints.txt --requirement bench/gpu/wheels.txt --dest "$2"
        du -sh "$2"
        ;;
    with)
        site=$(mktemp -d)
        trap 'rm -rf "$site"' EXIT
        "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$2"/*.whl
        PYTHONPATH="$site:$PWD" "$python" -m bench.gpu
        ;;
    *)
        PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" "$python" -m bench.gpu
        ;;
esac

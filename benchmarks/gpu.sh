#!/usr/bin/env bash
# Everything that needs a GPU, in one run of at most eight minutes: see benchmarks/gpu/__init__.py.
#
#   bash benchmarks/gpu.sh FOLDER              writes FOLDER/gpu.md and FOLDER/gpu.json
#   bash benchmarks/gpu.sh --rehearse FOLDER   all of it, small, on the CPU
#   bash benchmarks/gpu.sh --pack 3.12         where there is a package index: brings the wheels that a machine
#                                              with little more than PyTorch lacks, for its Python, to .wheels/
#
# The machine with the GPU needs a network for none of it.  PYTHON names its Python, else python3.
set -u
here=$PWD
cd "$(dirname "$0")/.." || exit

# What the pipeline needs beside PyTorch and what comes with it in most images.
PACKAGES="av espeakng-loader facenet-pytorch opensmile audobject asttokens audeer oyaml audinterface audformat
audiofile audmath soundfile cffi pycparser iso639-lang iso3166 audresample pydantic annotated-types pydantic-core
typing-inspection ruamel.yaml"

if [ "${1:-}" = --pack ]; then
    for old in 34 31 28 27 24 17; do platforms="${platforms:-} --platform manylinux_2_${old}_x86_64"; done
    # shellcheck disable=SC2086 # lists of words
    exec .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version "${2:?the version of the other Python, such as 3.12}" --implementation cp $platforms \
        --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --constraint constraints.txt \
        --dest .wheels $PACKAGES
fi

rehearse=
if [ "${1:-}" = --rehearse ]; then rehearse=--rehearse; shift; fi
out=${1:?a folder for the results}
case $out in /*) ;; *) out=$here/$out ;; esac
mkdir -p "$out" && rm -f "$out/parts.jsonl" || exit

if [ -z "${PYTHON:-}" ]; then PYTHON=python3; [ -x .venv/bin/python ] && PYTHON=.venv/bin/python; fi
site=$(mktemp -d) || exit
trap 'rm -rf "$site"' EXIT
if ls .wheels/*.whl >/dev/null 2>&1 && ! "$PYTHON" -c 'import av, facenet_pytorch, opensmile, pydantic' 2>/dev/null; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" .wheels/*.whl
fi
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

# In the order of their worth, each with the seconds that it may take; what fails or hangs stops no other.
for part in chain:130 pictures:130 training:110 text:50 kinds:60; do
    echo "== ${part%:*}"
    limit_s=${part#*:}
    [ -z "$rehearse" ] || limit_s=$((3 * limit_s))
    timeout --kill-after=5 "$limit_s" "$PYTHON" -m benchmarks.gpu "${part%:*}" "$out" $rehearse
    status=$?
    if [ "$status" != 0 ]; then
        failed="${failed:-} ${part%:*}"
        "$PYTHON" -m benchmarks.gpu failed "$out" --part "${part%:*}" --status "$status"
    fi
done
"$PYTHON" -m benchmarks.gpu table "$out" || exit
[ -z "${failed:-}" ] || { echo "failed:$failed"; exit 1; }

# Sourced, from the root: where the Python library `didcomm` 0.3.2 is, made where it is not. Wants
# python3 with venv and a package index; kept in target/interop. Sets `python` and `env`.
python=${PYTHON:-python3}
env=target/interop/didcomm-0.3.2
if ! "$env/bin/python" -c 'import didcomm' 2>/dev/null; then
    rm -rf "$env"
    "$python" -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check \
        'didcomm==0.3.2' 'Authlib==1.3.2' 'cryptography>=42'
fi

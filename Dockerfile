# The labs in a container: JupyterLab on port 8888, run by an ordinary user.
#
#     docker build -t zerocopy_lab .
#     docker run --rm -it -p 127.0.0.1:8888:8888 zerocopy_lab
#
# Its log begins with what the labs can prove, count and time in this container (`doctor`).
# `packages` is all but the labs, for editors that bring the checkout themselves (.devcontainer).
# `python -m ci.image` runs these very steps in a chroot where there is no Docker.
FROM debian:trixie-slim AS packages
RUN apt-get update -q && apt-get install -q -y --no-install-recommends ca-certificates python3 python3-venv && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --shell /bin/bash learner && python3 -m venv /opt/venv
COPY requirements.txt /opt/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -q -r /opt/requirements.txt
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 JUPYTER_PREFER_ENV_PATH=1

FROM packages AS labs
WORKDIR /srv/zerocopy_lab
COPY zerocopy_lab zerocopy_lab
COPY labs labs
COPY data data
COPY docs docs
RUN chown -R learner labs . && python3 -c "import compileall; compileall.compile_dir('zerocopy_lab', quiet=1)"
USER learner
EXPOSE 8888
CMD python3 -m zerocopy_lab doctor && exec jupyter lab --ip=0.0.0.0 --no-browser --ServerApp.root_dir=/srv/zerocopy_lab --LabApp.default_url=/lab/tree/labs/00_start_here.ipynb

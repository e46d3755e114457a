# gendist with everything that a study runs on, for containers and for the pods of a cluster (docs/clusters.md).
#
#     docker build -t gendist .                                       with CUDA: PyPI's torch brings it
#     docker build -t gendist --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .      without: much smaller
#     docker run --rm --gpus all -v "$PWD":/work gendist gendist run reviews.yaml
FROM python:3.12-slim-bookworm

# git: to clone a checkout onto a volume.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_CONSTRAINT=/opt/gendist/constraints.txt \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /opt/gendist
COPY constraints.txt pyproject.toml ./

# torch first and apart: by far the largest layer, the same until its pin changes. --no-deps as in the Makefile.
ARG TORCH_INDEX=
RUN pip install torch ${TORCH_INDEX:+--no-deps --index-url "$TORCH_INDEX"}

# What pyproject.toml asks for, without the package: an edit of the code leaves this layer as it is.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
e = p['optional-dependencies']; \
print(*p['dependencies'], *e['study'], *e['predict'], *e['hub'], *e['kubernetes'], sep='\n')" > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt

# profiles/kubernetes submits jobs with it.
COPY --from=registry.k8s.io/kubectl:v1.33.4 /bin/kubectl /usr/local/bin/

# Editable, because the package looks for the Snakefile beside it. .dockerignore says what there is to copy.
COPY . .
RUN pip install --no-deps --editable .

# A home that any user may write to: files of a mounted folder belong to whom --user names.
RUN useradd --uid 1000 --create-home gendist && chmod 1777 /home/gendist && mkdir --mode 1777 /work
ENV HOME=/home/gendist
USER 1000
WORKDIR /work
CMD ["gendist", "--help"]

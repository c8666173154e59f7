# One image for web processes, workers and `migrate`; see compose.yaml and docs/deployment.md.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Before the code, so that a change of it does not install all this again.
COPY requirements.txt ./
RUN pip install --no-deps --require-hashes -r requirements.txt

COPY . ./
RUN python -m compileall -q . \
 && SECRET_KEY=of-this-step-only python manage.py collectstatic --noinput \
 && useradd --system --user-group --no-create-home --home-dir /nonexistent chat \
 && chown -R chat var
USER chat

ENV HOST=0.0.0.0 PORT=8000
EXPOSE 8000
# Becomes the server: this process gets the signals.
CMD ["python", "-m", "natproject.serving"]

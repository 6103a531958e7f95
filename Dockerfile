# rotator as a service: the proxy on port 8080; its certificate authority and its state in the volume /data.
#   docker build -t rotator .
#   docker run -d --name rotator -p 127.0.0.1:8080:8080 -v rotator:/data -e OPENAI_API_KEY_1 rotator
# `docker stop --time 90 rotator`: streams may end by themselves for [shutdown] drain_timeout seconds (60) before it ends.
# Keys come as variables (-e, --env-file), the config as a mounted file: -v $PWD/rotator.toml:/data/rotator.toml:ro
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY addons addons
COPY protocols protocols
COPY rewrite rewrite
COPY rotator rotator
RUN pip install --no-cache-dir '.[state]' && rm -rf /src/* \
 && useradd --create-home --uid 1000 rotator && mkdir /data && chown rotator:rotator /data

USER rotator
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Within the container it has to listen for all: publish the port on 127.0.0.1, or add --set proxyauth=USER:PASSWORD.
ENTRYPOINT ["rotator", "start", "--listen-host", "0.0.0.0", "--set", "confdir=/data/confdir", "--set", "rotator_state=/data/state"]

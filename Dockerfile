# Relook's server in a container: not root, pictures mounted read-only, a token required.
#   docker build -t relook .
#   docker run -p 127.0.0.1:8765:8765 -e RELOOK_TOKEN=... -v ~/Pictures:/pictures:ro \
#     -v relook-library:/library relook
# release/rehearse.py runs these same steps without an engine.
FROM python:3.11-slim AS build
COPY . /src
RUN sh /src/release/container.sh build /src /opt/relook

FROM python:3.11-slim
COPY --from=build /opt/relook /opt/relook
COPY release/container.sh /opt/relook/container.sh
RUN useradd --create-home --uid 10001 relook && install -d -o relook -g relook /library
ENV PATH=/opt/relook/bin:$PATH RELOOK_LIBRARY=/library
USER relook
VOLUME ["/library", "/pictures"]
EXPOSE 8765
HEALTHCHECK --interval=30s --start-period=20s CMD ["sh", "/opt/relook/container.sh", "healthy", "8765"]
ENTRYPOINT ["relook"]
CMD ["serve", "--host", "0.0.0.0", "--library", "/library", "--allow-folder", "/pictures", "--no-open"]

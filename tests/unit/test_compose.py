"""The compose file is well formed, pinned, and open to this machine only."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_compose_file() -> None:
    text = (ROOT / "docs" / "compose.yaml").read_text("utf-8")
    services = yaml.safe_load(text)["services"]
    assert set(services) == {"etcd", "minio", "milvus", "index", "server"}
    for service in services.values():
        _, _, tag = service["image"].rpartition(":")
        assert tag not in ("", "latest")
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
        for needed in service.get("depends_on", {}):
            assert needed in services
    for word in ("NOT RUN", "--store milvus://milvus:19530/pictures", "relook attach milvus://"):
        assert word in text
    assert "PASSWORD:?" in text, "no password has a default"

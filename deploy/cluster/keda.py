"""KEDA in the cluster, installed by its own manifests, as its users do."""

from deploy.cluster.cluster import Cluster
from deploy.cluster.images import Image, build_images
from deploy.cluster.network import NODES
from deploy.cluster.nodes import import_image
from deploy.cluster.programs import make_keda_module
from randsvc.stack.build import build_programs, download_upstream

__all__ = ("install_keda",)

_NAMESPACE = "keda"
_PROGRAMS = {
    # The name of the image, and the path that its command has in the manifests.
    "operator": ("keda", "/keda"),
    "adapter": ("keda-metrics-apiserver", "/keda-adapter"),
    "webhooks": ("keda-admission-webhooks", "/keda-admission-webhooks"),
}
_DEPLOYMENTS = ("keda-operator", "keda-metrics-apiserver", "keda-admission")


def install_keda(cluster: Cluster) -> None:
    """Install KEDA, and wait until it serves. Raises what ``run_cluster`` raises."""
    module = make_keda_module()
    programs = build_programs([module])
    images = [
        Image(
            name=f"ghcr.io/kedacore/{name}:main",  # as the manifests of the Go module say
            entrypoint=[path],
            files={path: programs / program},
        )
        for program, (name, path) in _PROGRAMS.items()
    ]
    for image in build_images(images):
        for node in NODES:
            import_image(node, cluster.folder, image)
    text = cluster.kubectl("kustomize", f"{download_upstream(module)}/config/default")
    # Nothing can be pulled here.
    text = text.replace("imagePullPolicy: Always", "imagePullPolicy: Never")
    cluster.kubectl("apply", "--server-side", "--filename=-", given=text)
    for deployment in _DEPLOYMENTS:
        cluster.wait_for_rollout(f"deployment/{deployment}", _NAMESPACE)

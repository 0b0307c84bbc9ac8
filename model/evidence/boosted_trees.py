"""The floor under every network: gradient-boosted trees on thirty features of colour and texture."""

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from model.train.augment import STAINS
from model.train.pcam import Split

Features = NDArray[np.float64]


def features(patches: NDArray[np.uint8]) -> Features:
    """Features of patches, (N, 96, 96, 3) uint8 → (N, 30): colours, stain densities, edges, centre against mean."""
    return np.array([_patch_features(patch) for patch in patches])


def _patch_features(patch: NDArray[np.uint8]) -> Features:
    pixels = patch.reshape(-1, 3).astype(float)
    quantiles = np.percentile(pixels, (10, 50, 90), axis=0).ravel()
    stains = (-np.log((pixels + 1) / 256)) @ np.linalg.inv(STAINS.double().numpy())
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(float)
    edges = [cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), sigma), cv2.CV_64F) for sigma in (0.8, 1.6, 3.2)]
    texture = [value for edge in edges for value in (np.abs(edge).mean(), edge.std())]
    centre = patch[32:64, 32:64].reshape(-1, 3).astype(float).mean(0) - pixels.mean(0)
    parts = (pixels.mean(0), pixels.std(0), quantiles, stains.mean(0), stains.std(0), texture, centre)
    return np.concatenate([np.asarray(part, float) for part in parts])


def logits(train: Split, patches: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Fits the trees to a split and returns the logits of patches (N, 96, 96, 3) uint8, (N,) float32."""
    trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, max_leaf_nodes=15, random_state=seed)
    trees.fit(features(train.patches), train.labels)
    decision: NDArray[np.float32] = trees.decision_function(features(patches)).astype(np.float32)
    return decision

"""What scikit-learn and scikit-image make of two small tables: `python classic.py > classic.json`.

Tables are made by formulas that the Rust test repeats. Numbers: LogisticRegression, LinearSVC, one-against-rest SVC with a
Gaussian kernel, KNeighborsClassifier, and HOG of a formula picture. scikit-learn 1.x, scikit-image 0.2x; see "versions".
"""

import json
import math

import numpy as np
import skimage
import sklearn
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

N, WIDTH, CLASSES = 90, 6, 3


def table(n, shift):
    rows = [[math.sin(0.7 * i * (j + 1) + j + shift) + 0.8 * math.cos(2.1 * (i % CLASSES) + j) for j in range(WIDTH)] for i in range(n)]
    return np.array(rows, dtype=np.float32), np.array([i % CLASSES for i in range(n)])


x, y = table(N, 0.0)
asked, _ = table(20, 0.5)
scaler = StandardScaler().fit(x.astype(np.float64))
scale = lambda rows: scaler.transform(rows.astype(np.float64)).astype(np.float32).astype(np.float64)
train, test = scale(x), scale(asked)
weights = np.array([1.0 + (i % 4) / 2 for i in range(N)])

logistic = LogisticRegression(C=0.5, tol=1e-10, max_iter=10000).fit(train, y, sample_weight=weights)
linear = LinearSVC(C=0.5, tol=1e-10, max_iter=1000000, dual=True, random_state=0).fit(train, y, sample_weight=weights)
svm = OneVsRestClassifier(SVC(C=2.0, gamma="scale", tol=1e-9)).fit(train, y)
near = KNeighborsClassifier(n_neighbors=7).fit(train, y)
by_distance = KNeighborsClassifier(n_neighbors=7, weights="distance").fit(train, y)


def picture(height, width, channels):
    values = [[[(37 * r * r + 11 * c * c + 5 * r * c + 90 * k) % 256 for k in range(channels)] for c in range(width)] for r in range(height)]
    return np.array(values, dtype=np.uint8)


def histograms(height, width, channels, cell, block):
    pixels = picture(height, width, channels)
    pixels = pixels if channels > 1 else pixels[:, :, 0]
    made = hog(
        pixels,
        orientations=9,
        pixels_per_cell=(cell, cell),
        cells_per_block=(block, block),
        block_norm="L2-Hys",
        channel_axis=-1 if channels > 1 else None,
    )
    return {"height": height, "width": width, "channels": channels, "cell": cell, "block": block, "values": made.round(6).tolist()}


print(
    json.dumps(
        {
            "versions": {"scikit-learn": sklearn.__version__, "scikit-image": skimage.__version__},
            "logistic_probabilities": logistic.predict_proba(test).round(7).tolist(),
            "linear_svm_scores": linear.decision_function(test).round(7).tolist(),
            "svm_scores": svm.decision_function(test).round(6).tolist(),
            "knn": near.predict_proba(test).round(7).tolist(),
            "knn_by_distance": by_distance.predict_proba(test).round(7).tolist(),
            "hog": [histograms(24, 32, 1, 8, 2), histograms(21, 19, 3, 5, 3)],
        }
    )
)

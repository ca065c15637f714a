"""Published datasets as others lay them out on disk, read as data.

Every reader answers with :class:`Recording`; :func:`training_clips` makes of them what a training takes. None of the
datasets comes with posemill, and most may not be used commercially: their terms are the user's to keep.

``videopose3d``
    VideoPose3D's npz archives of Human3.6M and of anybody's videos.
``baseline``
    The HDF5 folders of 3d-pose-baseline, with stacked-hourglass 2D.
``human36m``
    Human3.6M's cameras and names.
``mpii``
    3dpose_gan's MPII poses, stacked-hourglass annotations and predictions, SimpleBaseline's JSON.
``mpi_inf_3dhp``
    MPI-INF-3DHP, training and test set.
``objects``
    numpy files with dictionaries in them, of which nothing is run.
"""

from posemill.formats.datasets.baseline import read_baseline
from posemill.formats.datasets.human36m import read_cameras
from posemill.formats.datasets.mpi_inf_3dhp import read_3dhp_npz, read_3dhp_test, read_3dhp_training
from posemill.formats.datasets.mpii import read_hourglass, read_mpii_json, read_mpii_poses
from posemill.formats.datasets.recording import Recording, TrainingClip, training_clips
from posemill.formats.datasets.videopose3d import read_videopose3d, read_videopose3d_custom

__all__ = [
    "Recording",
    "TrainingClip",
    "read_3dhp_npz",
    "read_3dhp_test",
    "read_3dhp_training",
    "read_baseline",
    "read_cameras",
    "read_hourglass",
    "read_mpii_json",
    "read_mpii_poses",
    "read_videopose3d",
    "read_videopose3d_custom",
    "training_clips",
]

"""Measures of how far a result is from the truth; pure functions of arrays.

``pose`` root-relative poses · ``motion`` velocity, acceleration, jerk · ``world`` trajectories · ``feet`` contacts and
sliding · ``image`` keypoints · ``body`` bone lengths · ``uncertainty`` sigma · ``reduce`` averages with their counts ·
``protocols`` what a published figure stands for · ``checks`` mistakes that would only look like a strange number.

Everywhere: float64 inside, metres, seconds and pixels; what is unknown is left out and counted, never filled in.
"""

"""What is done to examples on their way into a store or out of it, in NumPy: texts, images, k-space, randomness.

It imports no dataset.
"""

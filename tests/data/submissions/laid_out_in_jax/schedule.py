HALVED = 100


def decayed(rate, step, halved):
    return rate * 0.5 ** (step / halved)

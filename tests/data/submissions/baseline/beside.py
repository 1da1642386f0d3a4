from algoperf import spec


def grouped(model, types, weight_decay):
    """Biases are not decayed."""
    biases = [param for name, param in model.named_parameters() if types[name] == spec.ParameterType.BIAS]
    others = [param for name, param in model.named_parameters() if types[name] != spec.ParameterType.BIAS]
    return [{"params": others, "weight_decay": weight_decay}, {"params": biases, "weight_decay": 0.0}]

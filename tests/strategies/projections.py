"""Small projections."""

import weightsharing as ws


def populations(pre, post):
    return ws.Population(pre), ws.Population(post)


def convolution(pre, post, weights, method="connect_filter", operation="sum", **arguments):
    projection = ws.Convolution(*populations(pre, post), "exc", operation=operation)
    return getattr(projection, method)(weights, **arguments)

"""nearest: the way it takes changes no answer."""

import torch
from torch.nn.functional import normalize

from mmx.search import nearest as ways
from mmx.store.codes import round_off
from mmx.store.gallery import Gallery


def test_many_queries_find_together_what_each_finds_alone_through_the_codes(monkeypatch):
    random = torch.Generator().manual_seed(0)
    vectors, queries = (normalize(torch.randn(n, 16, generator=random), dim=1) for n in (3000, 8))
    gallery = Gallery("/photos", "test", (), vectors, codes=round_off(vectors))
    alone = [ways.nearest(query[None], gallery, 10) for query in queries]
    monkeypatch.setattr(ways, "scan_top_k", None)  # together they are not scanned
    scores, rows = ways.nearest(queries, gallery, 10)
    assert torch.equal(rows, torch.cat([found for _, found in alone]))
    assert torch.equal(scores, torch.cat([found for found, _ in alone]))

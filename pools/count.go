package pools

import "slices"

// count works out pg_num of every draft, by all formulas.
func (p *planner) count() {
	p.weigh()
	for i := range p.drafts {
		d := &p.drafts[i]
		osds := len(d.osds)
		sharing := p.sharing(*d)
		d.Raw = round(cardRaw(osds, p.opts.Target, d.Size, sharing))
		d.Card = CardPGs(osds, p.opts.Target, d.Size, sharing)
		d.PGCalc = PGCalcPGs(osds, p.opts.Target, d.Size, d.Weight)
	}
	p.predict()
	for i := range p.drafts {
		d := &p.drafts[i]
		d.PGNum = p.wanted(*d)
		d.Mode, d.PGMin, d.Bulk = d.policy()
	}
}

// sharing is the number of planned pools that use the same OSDs.
func (p *planner) sharing(d draft) int {
	n := 0
	for _, other := range p.drafts {
		if slices.Equal(d.osds, other.osds) {
			n++
		}
	}
	return n
}

// weigh gives every pool its part of the data, in percent of those that use the
// same OSDs. A pool of unknown weight counts as an average one.
func (p *planner) weigh() {
	raw := make([]float64, len(p.drafts))
	for i, d := range p.drafts {
		raw[i] = d.params.Weight
		if raw[i] == 0 {
			raw[i], _, _ = preset(d.Name)
		}
		if raw[i] == 0 {
			raw[i] = 100 / float64(p.sharing(d))
		}
	}
	for i := range p.drafts {
		sum := 0.0
		for j := range p.drafts {
			if slices.Equal(p.drafts[i].osds, p.drafts[j].osds) {
				sum += raw[j]
			}
		}
		p.drafts[i].Weight = round(raw[i] * 100 / sum)
	}
}

// wanted is the pg_num that the formula and the policy ask for.
func (p *planner) wanted(d draft) int {
	switch {
	case d.params.PGNum > 0:
		return d.params.PGNum
	case d.Policy == Managed && d.params.Bulk:
		return d.Predicted.Bulk
	case d.Policy == Managed:
		return d.Predicted.PGNum
	case p.opts.Formula == PGCalc:
		return d.PGCalc
	}
	return d.Card
}

// policy is what keeps pg_num where the policy wants it.
func (d draft) policy() (mode string, pgMin int, bulk bool) {
	switch d.Policy {
	case Floor:
		return "on", d.PGNum, false
	case Managed:
		return "on", 0, d.params.Bulk
	}
	return "off", 0, false
}

// predict asks the model of the autoscaler about every draft: once with all
// pools alike, once with the bulk flag where the data is.
func (p *planner) predict() {
	for i := range p.drafts {
		d := &p.drafts[i]
		d.Predicted = Prediction{
			PGNum: p.autoscaled(i, false),
			Bulk:  p.autoscaled(i, true),
			Model: AutoscalerModel,
		}
	}
	for i := range p.drafts {
		d := &p.drafts[i]
		now := d.now.PGTarget
		if !d.exists {
			now = p.wanted(*d)
		}
		ideal := d.Predicted.PGNum
		if d.Policy == Managed && d.params.Bulk {
			ideal = d.Predicted.Bulk
		}
		d.Predicted.WouldAdjust = wouldAdjust(now, ideal)
	}
}

// autoscaled predicts draft i, together with all pools below the same root.
func (p *planner) autoscaled(i int, bulk bool) int {
	root := p.root(p.drafts[i].rule)
	var pools []scaled
	for _, e := range p.others() {
		if r, ok := p.top.crush.rule(e.Rule); ok && p.root(r) == root {
			pools = append(pools, scaled{size: e.Size, ratio: e.ratio(), bulk: e.Bulk, pgMin: e.PGMin, pgMax: e.PGMax, weight: e.Bias})
		}
	}
	at := 0
	for j, d := range p.drafts {
		if p.root(d.rule) != root {
			continue
		}
		if j == i {
			at = len(pools)
		}
		s := scaled{size: d.Size, ratio: d.now.ratio(), bulk: bulk && isBulk(d.params), weight: 1}
		if d.exists && d.now.Bias > 0 {
			s.weight = d.now.Bias
		}
		pools = append(pools, s)
	}
	return autoscale(pools, len(p.drafts[i].osds), p.top.Limits.TargetPGPerOSD)[at]
}

// isBulk tells whether a pool holds the bulk of the data, asked for or by name.
func isBulk(params Params) bool {
	_, bulk, _ := preset(params.Name)
	return params.Bulk || bulk
}

// root is the bucket that a rule starts at.
func (p *planner) root(r crushRule) int {
	if len(r.paths) == 0 {
		return 0
	}
	return r.paths[0].root
}

// ratio is the part of the reachable space that a pool uses.
func (p Pool) ratio() float64 {
	if p.Stored == 0 {
		return 0
	}
	return float64(p.Stored) / float64(p.Stored+p.MaxAvail)
}

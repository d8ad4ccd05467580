package transport

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// schedule lets a record wait for the hops of its recipients; final ones that
// have to be reported count as one for the categorizer, which does both.
func (t *Transport) schedule(r *Record) {
	t.sched.ensure(r, t.hopsOf(r), t.opt.Clock())
}

func (t *Transport) hopsOf(r *Record) map[Hop]bool {
	cfg := t.opt.Org.Config()
	hops := map[Hop]bool{}
	for i := range r.Rcpts {
		switch c := &r.Rcpts[i]; {
		case !c.State.Final():
			hops[route(cfg, c)] = true
		case !c.Reported:
			hops[Hop{Kind: HopCategorizer}] = true
		}
	}
	if len(hops) == 0 { // finished but for its removal
		hops[Hop{Kind: HopCategorizer}] = true
	}
	return hops
}

// dispatch starts workers for what is due until the transport stops.
func (t *Transport) dispatch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		start, next := t.sched.ready(t.opt.Clock())
		for _, hop := range start {
			t.wg.Go(func() { t.work(hop) })
		}
		if next == 0 || next > time.Minute {
			next = time.Minute // a clock may be set
		}
		timer.Reset(next)
		select {
		case <-t.sched.done:
			return
		case <-t.sched.wake:
		case <-timer.C:
		}
	}
}

// work serves one hop until nothing more is due there.
func (t *Transport) work(hop Hop) {
	defer t.sched.release(hop)
	p := &peer{t: t, hop: hop}
	defer p.close()
	for {
		it := t.sched.take(hop, t.opt.Clock())
		if it == nil {
			return
		}
		t.process(t.ctx, p, it)
	}
}

// process makes one attempt for one message at one hop.
func (t *Transport) process(ctx context.Context, p *peer, it *item) {
	it.e.mu.Lock()
	r, err := t.queue.load(ctx, it.e.id)
	it.e.mu.Unlock()
	if err != nil {
		t.stuck(it, err)
		return
	}
	if r.Frozen {
		t.sched.again(it, t.opt.Clock())
		return
	}
	if it.hop.Kind == HopCategorizer {
		t.categorizeQueued(ctx, it)
		return
	}
	cfg := t.opt.Org.Config()
	var idx []int
	for i := range r.Rcpts {
		if c := &r.Rcpts[i]; !c.State.Final() && route(cfg, c) == it.hop {
			idx = append(idx, i)
		}
	}
	var out []outcome
	switch {
	case len(idx) == 0:
	case it.hop.Kind == HopStore:
		out = t.deliverQueued(ctx, r, idx)
	default:
		out = p.relay(ctx, r, idx)
	}
	// While stopping, what was not said to have worked or failed was cut off.
	stopping := ctx.Err() != nil
	it.attempts++
	t.settle(context.WithoutCancel(ctx), it, func(r *Record) {
		for k, i := range idx {
			if r.Rcpts[i].State == Ready && !(stopping && out[k].state == Ready) {
				r.Rcpts[i].settle(out[k])
			}
		}
	})
	if p.unreached != "" && !stopping {
		t.hopFailed(ctx, it.hop, p.unreached)
		p.unreached = ""
	}
}

// stuck handles a record that could not be read.
func (t *Transport) stuck(it *item, err error) {
	if model.IsKind(err, model.KindNotFound) {
		t.sched.forget(it.e.id)
		return
	}
	t.opt.Log.Error("queue record cannot be read", "message", it.e.id, "err", err)
	t.sched.again(it, t.opt.Clock().Add(time.Minute))
}

// categorizeQueued resolves the pending recipients of a message and reports or
// removes what is final.
func (t *Transport) categorizeQueued(ctx context.Context, it *item) {
	it.attempts++
	cfg := t.opt.Org.Config()
	t.settle(ctx, it, func(r *Record) {
		for i := range r.Rcpts {
			if r.Rcpts[i].State == Pending {
				env := envelope{sender: r.Sender, trusted: r.Trusted, size: r.Size}
				r.Rcpts = categorize(ctx, t.opt.Org, cfg, env, r.Rcpts, nil)
				return
			}
		}
	})
}

// settle applies the results of an attempt to the record, judges what has to
// wait, writes reports, and takes the message out of the queue when it is done:
// all in one batch. Then the item waits for its next turn, or ends.
func (t *Transport) settle(ctx context.Context, it *item, apply func(*Record)) {
	e := it.e
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := t.queue.load(ctx, e.id)
	if err != nil {
		t.stuck(it, err)
		return
	}
	before := t.states(r)
	apply(r)
	sched := scheduleOf(outbound(t.opt.Org.Config()))
	now := t.opt.Clock()
	t.judge(r, it.hop, sched, now)
	c, reports, done, err := t.save(ctx, r, it.hop, now)
	if err != nil {
		t.opt.Log.Error("queue cannot be written", "message", e.id, "err", err)
		t.sched.again(it, now.Add(time.Minute))
		return
	}
	t.trackChanges(r, it.hop, before)
	for _, rep := range reports {
		t.trackAll(TrackSubmit, rep.rec)
		t.schedule(rep.rec)
	}
	if done {
		t.sched.forget(e.id)
		t.finish(ctx, r, c, it.hop.Kind == HopStore)
		return
	}
	hops := t.hopsOf(r)
	if hops[it.hop] {
		for i := range r.Rcpts {
			it.told = it.told || r.Rcpts[i].DelayTold
		}
		t.sched.again(it, now.Add(t.backoff(sched, it)))
	} else {
		t.sched.drop(it)
	}
	t.sched.ensure(r, hops, now)
}

// save commits r with its reports, or its removal. It waits for the disk where
// something could be done twice otherwise: a relay, or a report about to leave.
// What a database has marked as delivered is at worst tried again, and changes
// nothing.
func (t *Transport) save(ctx context.Context, r *Record, hop Hop, now time.Time) (kv.Commit, []report, bool, error) {
	b, reports, done, err := t.write(ctx, r, now)
	var c kv.Commit
	if err == nil {
		c, err = t.queue.db.Commit(ctx, b)
	}
	if err == nil && (hop.Kind != HopStore || len(reports) > 0) {
		err = c.Wait(ctx)
	}
	if err != nil {
		for _, rep := range reports {
			rep.body.abort()
		}
		return nil, nil, false, err
	}
	return c, reports, done, nil
}

// finish cleans up after a message that left the queue, once that is durable:
// until then the marks of its deliveries are needed. later leaves the waiting
// to a goroutine; only workers may ask for it.
func (t *Transport) finish(ctx context.Context, r *Record, c kv.Commit, later bool) {
	end := func() {
		if c.Wait(ctx) == nil {
			t.forget(ctx, r)
		}
		t.queue.finished(ctx, r.ID)
	}
	if later {
		t.wg.Go(end)
	} else {
		end()
	}
}

// states keeps what trackChanges compares with.
func (t *Transport) states(r *Record) map[string]State {
	if t.opt.Track == nil {
		return nil
	}
	m := make(map[string]State, len(r.Rcpts))
	for i := range r.Rcpts {
		m[r.Rcpts[i].To.Key()] = r.Rcpts[i].State
	}
	return m
}

// trackChanges reports the recipients whose state an attempt changed, and those
// it could not serve.
func (t *Transport) trackChanges(r *Record, hop Hop, before map[string]State) {
	if t.opt.Track == nil {
		return
	}
	cfg := t.opt.Org.Config()
	var k tracking
	for i := range r.Rcpts {
		c := &r.Rcpts[i]
		was, ok := before[c.To.Key()]
		switch {
		case c.State.Final() && (!ok || c.State != was):
			k.add(kindOf(c.State), c)
		case !c.State.Final() && c.Status != "" && route(cfg, c) == hop:
			k.add(TrackDefer, c)
		}
	}
	t.track(&k, r, "")
}

// backoff is how long an item waits. What is wrong within the server is mended
// sooner than what is wrong elsewhere, and costs little to try.
func (t *Transport) backoff(sched Schedule, it *item) time.Duration {
	d := sched.Next(it.attempts, float64(t.opt.Rand(1000))/1000)
	if it.hop.Kind == HopStore || it.hop.Kind == HopCategorizer {
		d = min(d, time.Duration(max(it.attempts, 1))*10*time.Second)
	}
	return d
}

// judge gives up on recipients of a hop that waited too long.
func (t *Transport) judge(r *Record, hop Hop, sched Schedule, now time.Time) {
	cfg := t.opt.Org.Config()
	for i := range r.Rcpts {
		c := &r.Rcpts[i]
		if c.State.Final() || c.Status == "" || route(cfg, c) != hop {
			continue
		}
		if sched.Judge(r.Accepted, now, c.DelayTold) == GiveUp {
			c.State = Failed
			c.Diag = clip("Delivery time expired; last: "+c.Status+" "+c.Diag, maxText)
			c.Status = "4.4.7"
		}
	}
}

// write prepares the batch that stores r with its reports, or removes it.
func (t *Transport) write(ctx context.Context, r *Record, now time.Time) (kv.Batch, []report, bool, error) {
	reports, err := t.reports(ctx, r, now)
	if err != nil {
		return nil, nil, false, err
	}
	done := true
	for i := range r.Rcpts {
		done = done && r.Rcpts[i].State.Final() && r.Rcpts[i].Reported
	}
	b := t.queue.db.NewBatch()
	for _, rep := range reports {
		rep.body.finish(b)
		if b, err = t.queue.put(ctx, b, rep.rec, nil); err != nil {
			return nil, reports, false, err
		}
	}
	if done {
		t.queue.remove(b, r)
	} else {
		b, err = t.queue.put(ctx, b, r, nil)
	}
	return b, reports, done, err
}

// hopFailed puts a hop off and looks after the messages that wait for it: their
// senders are told of the delay, or get them back, though nothing was tried
// for each.
func (t *Transport) hopFailed(ctx context.Context, hop Hop, why string) {
	cfg := t.opt.Org.Config()
	sched := scheduleOf(outbound(cfg))
	now := t.opt.Clock()
	waiting := t.sched.unreached(hop, why, func(n int) time.Time {
		return now.Add(sched.Next(n, float64(t.opt.Rand(1000))/1000))
	})
	for _, it := range waiting {
		if sched.Judge(it.e.accepted, now, it.told) == Wait || !t.sched.seize(it) {
			continue
		}
		t.settle(ctx, it, func(r *Record) {
			for i := range r.Rcpts {
				if c := &r.Rcpts[i]; c.State == Ready && c.Status == "" && route(cfg, c) == hop {
					c.Status, c.Diag = "4.4.1", clip(why, maxText)
				}
			}
		})
	}
}

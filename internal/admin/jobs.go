package admin

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"rialto/internal/model"
)

// Job is work that takes longer than a caller waits.
type Job struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // the operation that began it
	Object  string    `json:"object"`
	By      string    `json:"by"`
	State   string    `json:"state"` // running, done, failed, canceled
	Done    int64     `json:"done"`
	Total   int64     `json:"total,omitempty"` // 0: not known
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Error   string    `json:"error,omitempty"`
	Result  any       `json:"result,omitempty"`
}

// maxJobs is how many ended jobs are remembered.
const maxJobs = 100

// jobs are those of a server. The zero value is ready.
type jobs struct {
	mu   sync.Mutex
	next int
	list []*running
	all  sync.WaitGroup
	over bool
}

type running struct {
	Job
	cancel context.CancelFunc
	ended  chan struct{}
}

// progress returns a function that notes how far a job is, and slows it down to
// half of what it could do if others use what it works on.
func (j *jobs) progress(r *running, gentle bool) func(ctx context.Context, done, total int64) error {
	last := time.Now()
	return func(ctx context.Context, done, total int64) error {
		j.mu.Lock()
		r.Done, r.Total = done, total
		j.mu.Unlock()
		if gentle {
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Since(last), time.Second)):
			}
		}
		last = time.Now()
		return ctx.Err()
	}
}

// start begins a job; do ends when its ctx does. The caller's ctx does not count.
func (a *Admin) start(ctx context.Context, c Caller, kind, object string, do func(ctx context.Context, r *running) (any, error)) (*Job, error) {
	j := &a.jobs
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		cancel()
		return nil, model.E(kind, model.KindUnavailable, "the server stops", nil)
	}
	j.next++
	r := &running{Job: Job{ID: fmt.Sprint(j.next), Kind: kind, Object: object, By: c.Name, State: "running", Started: time.Now()}, cancel: cancel, ended: make(chan struct{})}
	j.list = append(j.list, r)
	for i := 0; len(j.list) > maxJobs && i < len(j.list); {
		if j.list[i].State != "running" {
			j.list = slices.Delete(j.list, i, i+1)
		} else {
			i++
		}
	}
	j.all.Go(func() {
		defer cancel()
		out, err := do(ctx, r)
		_ = a.audit(ctx, c, kind, object, err) // the error is kept in the job
		j.mu.Lock()
		defer j.mu.Unlock()
		r.State, r.Ended, r.Result = "done", time.Now(), out
		switch {
		case err != nil && ctx.Err() != nil:
			r.State, r.Error = "canceled", "canceled"
		case err != nil:
			r.State, r.Error = "failed", err.Error()
		}
		close(r.ended)
	})
	out := r.Job
	return &out, nil
}

// EndJobs cancels what runs and waits for it.
func (a *Admin) EndJobs() {
	a.jobs.mu.Lock()
	a.jobs.over = true
	for _, r := range a.jobs.list {
		r.cancel()
	}
	a.jobs.mu.Unlock()
	a.jobs.all.Wait()
}

// ListJobs lists jobs, the newest last.
func (a *Admin) ListJobs(_ context.Context, c Caller, _ Nothing) ([]Job, error) {
	if err := a.allow(c, "job.list"); err != nil {
		return nil, err
	}
	a.jobs.mu.Lock()
	defer a.jobs.mu.Unlock()
	out := []Job{}
	for _, r := range a.jobs.list {
		out = append(out, r.Job)
	}
	return out, nil
}

// JobQuery names a job.
type JobQuery struct {
	ID   string `json:"id"`
	Wait int    `json:"wait,omitempty"` // milliseconds to wait for its end, at most a minute
}

func (a *Admin) job(q JobQuery) (*running, error) {
	a.jobs.mu.Lock()
	defer a.jobs.mu.Unlock()
	for _, r := range a.jobs.list {
		if r.ID == q.ID {
			return r, nil
		}
	}
	return nil, model.E("job", model.KindNotFound, "job "+q.ID, nil)
}

// ShowJob shows a job, after it has ended or some time has passed.
func (a *Admin) ShowJob(ctx context.Context, c Caller, q JobQuery) (*Job, error) {
	if err := a.allow(c, "job.show"); err != nil {
		return nil, err
	}
	r, err := a.job(q)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.ended:
	case <-ctx.Done():
	case <-time.After(min(time.Duration(max(q.Wait, 0))*time.Millisecond, time.Minute)):
	}
	a.jobs.mu.Lock()
	defer a.jobs.mu.Unlock()
	out := r.Job
	return &out, nil
}

// CancelJob cancels a job.
func (a *Admin) CancelJob(ctx context.Context, c Caller, q JobQuery) (*Nothing, error) {
	const op = "job.cancel"
	err := a.allow(c, op)
	if err == nil {
		var r *running
		if r, err = a.job(q); err == nil {
			r.cancel()
		}
	}
	return &Nothing{}, a.audit(ctx, c, op, "job "+q.ID, err)
}

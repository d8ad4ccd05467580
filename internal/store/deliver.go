package store

import (
	"context"
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// Delivery is one message for any number of mailboxes of one database.
type Delivery struct {
	// QueueID names the message in the transport's queue. With it, a recipient
	// that was delivered to is not delivered to again, whatever crashed in
	// between. Empty: the message is not queued and this is its only try.
	QueueID string
	Item    NewItem
	Origin  Origin
	To      []DeliverTo
}

// DeliverTo is one recipient of a Delivery.
type DeliverTo struct {
	Mailbox model.GUID
	Folder  FolderID // 0: the receive folder of the class, normally the Inbox
	Key     string   // names the recipient within QueueID, for instance its address
	Trace   []byte   // header lines for this recipient alone, before Item.Trace
	// HardLimit refuses mail for a mailbox that holds this many octets already;
	// 0: none.
	HardLimit int64
	// Owner is who the mailbox belongs to; zero: no mail goes out in its name.
	Owner   Party
	Aliases []model.Address // other addresses of the owner
}

// Delivered is what became of one recipient. Err nil: durable.
type Delivered struct {
	UID       UID
	OID       OID
	Duplicate bool // it was there already, from an earlier try
	Err       error
}

// Deliver stores the message in all mailboxes in as few batches as their locks
// and the batch limit allow, normally one, and returns when that is durable.
// The results are in the order of d.To; the error is for a failure that
// concerns them all.
func (d *Database) Deliver(ctx context.Context, dv *Delivery) ([]Delivered, error) {
	enc, err := dv.Item.encode()
	if err != nil {
		return nil, err
	}
	res := make([]Delivered, len(dv.To))
	for i := range dv.To {
		if len(dv.To[i].Trace) > maxTrace {
			return nil, model.E("store.deliver", model.KindTooLarge, "trace", nil)
		}
	}
	jobs, err := d.deliveryJobs(ctx, dv, res)
	if err != nil {
		return nil, err
	}
	if enc.lazy, err = dv.Origin.fetch(jobs); err != nil {
		return nil, wrap("store.deliver", d.opt.Name, err)
	}
	wait := time.Duration(0)
	var commits []delivered
	for len(jobs) > 0 {
		var c delivered
		todo := jobs
		c, jobs, err = d.deliverSome(ctx, enc, dv, todo, res, wait)
		if err != nil {
			err = wrap("store.deliver", d.opt.Name, err)
			if len(commits) == 0 {
				return nil, err
			}
			// Others have it already, and are not to get it again.
			refuse(todo, res, err)
			break
		}
		commits = append(commits, c)
		wait = d.opt.LockWait
	}
	for _, c := range commits {
		if err := d.kv.WaitDurable(context.WithoutCancel(ctx), c.seq); err != nil {
			return nil, wrap("store.deliver", d.opt.Name, err)
		}
		for _, t := range c.txns {
			t.m.events.publish(Seq(t.counters.Seq))
		}
		d.hintOutbox(c.txns...)
	}
	return res, nil
}

// delivered is one batch of a delivery on its way to the disk.
type delivered struct {
	seq  kv.Sequence
	txns []*txn
}

// refuse answers err to the recipients of jobs.
func refuse(jobs []deliveryJob, res []Delivered, err error) {
	for _, j := range jobs {
		for _, i := range j.to {
			res[i] = Delivered{Err: err}
		}
	}
}

// deliveryJob is a mailbox and the recipients that mean it.
type deliveryJob struct {
	m  *Mailbox
	to []int // indexes of Delivery.To
}

// deliveryJobs opens the mailboxes, in lock order. Recipients without one get
// their answer here.
func (d *Database) deliveryJobs(ctx context.Context, dv *Delivery, res []Delivered) ([]deliveryJob, error) {
	byBox := make(map[model.GUID]int, len(dv.To))
	var jobs []deliveryJob
	for i, to := range dv.To {
		if j, ok := byBox[to.Mailbox]; ok {
			jobs[j].to = append(jobs[j].to, i)
			continue
		}
		m, err := d.Mailbox(ctx, to.Mailbox)
		if model.IsKind(err, model.KindNotFound) {
			res[i].Err = err
			continue
		}
		if err != nil {
			return nil, err
		}
		byBox[to.Mailbox] = len(jobs)
		jobs = append(jobs, deliveryJob{m, []int{i}})
	}
	sort.Slice(jobs, func(i, j int) bool { return jobs[i].m.num < jobs[j].m.num })
	return jobs, nil
}

// maxDeliveryBatch leaves room for the last recipient added to a batch.
const maxDeliveryBatch = kv.MaxBatch * 3 / 4

// maxTrace is the most octets of header lines that one recipient has for itself.
const maxTrace = 8 << 10

// maxDeliveryMailboxes bounds how many locks one batch holds.
const maxDeliveryMailboxes = 2000

// deliverSome puts as many jobs as it can into one batch: those whose lock is
// free within wait (the first is always waited for). The rest is returned.
func (d *Database) deliverSome(ctx context.Context, e *encodedItem, dv *Delivery, jobs []deliveryJob, res []Delivered, wait time.Duration) (delivered, []deliveryJob, error) {
	now, rest := lockJobs(e, dv, jobs, wait)
	unlock := func() {
		for _, j := range now {
			j.m.mu.Unlock()
		}
	}
	b := d.kv.NewBatch()
	var done delivered
	marks, err := d.deliveredMarks(ctx, dv, now)
	for i := 0; i < len(now) && err == nil; i++ {
		t := now[i].m.begin(ctx, b)
		err = d.deliverTo(t, e, dv, now[i], marks, res)
		t.finish()
		done.txns = append(done.txns, t)
	}
	if err != nil {
		unlock()
		b.Close()
		return delivered{}, nil, err
	}
	if b.Count() == 0 {
		// All have it, or none may: what says so may have been written just now.
		for _, t := range done.txns {
			done.seq = max(done.seq, kv.Sequence(t.m.last.Load()))
		}
		unlock()
		b.Close()
		return delivered{seq: done.seq}, rest, nil
	}
	e.addContent(b)
	c, err := d.order(ctx, b, done.txns...)
	unlock()
	if err == nil {
		done.seq = c.Sequence()
	}
	return done, rest, err
}

// lockJobs locks the mailboxes of jobs for one batch, as many as their locks
// and its size allow, at least one. The rest is for other batches.
func lockJobs(e *encodedItem, dv *Delivery, jobs []deliveryJob, wait time.Duration) (now, rest []deliveryJob) {
	size, patience := e.shared, time.Now().Add(wait)
	for i, j := range jobs {
		fit := 0
		for _, k := range j.to {
			if n := e.each + len(dv.To[k].Trace); size+n <= maxDeliveryBatch || len(now)+fit == 0 {
				size += n
				fit++
				continue
			}
			break
		}
		if fit == 0 || len(now) == maxDeliveryMailboxes {
			return now, append(rest, jobs[i:]...)
		}
		if fit < len(j.to) {
			rest = append(rest, deliveryJob{j.m, j.to[fit:]})
			j.to = j.to[:fit]
		}
		if len(now) == 0 {
			j.m.mu.Lock()
		} else if !tryLock(j.m, patience) {
			rest = append(rest, j)
			continue
		}
		if x := j.m.extra(e.each); x > 0 {
			// Its rules may make more of the message: one recipient at a time.
			if len(now) > 0 && size+x > maxDeliveryBatch {
				j.m.mu.Unlock()
				rest = append(rest, j)
				continue
			}
			if len(j.to) > 1 {
				rest = append(rest, deliveryJob{j.m, j.to[1:]})
				j.to = j.to[:1]
			}
			size += x
		}
		now = append(now, j)
	}
	return now, rest
}

// deliveredMarks reads what says that recipients have the message already; nil
// for a message without a QueueID.
func (d *Database) deliveredMarks(ctx context.Context, dv *Delivery, jobs []deliveryJob) (map[int][]byte, error) {
	if dv.QueueID == "" {
		return nil, nil
	}
	var keys [][]byte
	var at []int
	for _, j := range jobs {
		for _, i := range j.to {
			keys, at = append(keys, layout.DeliveredKey(dv.QueueID, dv.To[i].Key)), append(at, i)
		}
	}
	vals, err := d.kv.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	marks := make(map[int][]byte, len(vals))
	for n, v := range vals {
		marks[at[n]] = v
	}
	return marks, nil
}

// tryLock waits for a mailbox's lock until end.
func tryLock(m *Mailbox, end time.Time) bool {
	if m.mu.TryLock() {
		return true
	}
	for time.Now().Before(end) {
		time.Sleep(100 * time.Microsecond)
		if m.mu.TryLock() {
			return true
		}
	}
	return false
}

// deliverTo inserts the item for the recipients of one mailbox. The error is
// for failures that concern the whole delivery.
func (d *Database) deliverTo(t *txn, e *encodedItem, dv *Delivery, j deliveryJob, marks map[int][]byte, res []Delivered) error {
	for n, i := range j.to {
		to := &dv.To[i]
		if t.m.gone != nil {
			res[i].Err = t.m.gone
			continue
		}
		var done []byte
		if dv.QueueID != "" {
			if same := slices.IndexFunc(j.to[:n], func(k int) bool { return dv.To[k].Key == to.Key && res[k].Err == nil }); same >= 0 {
				res[i] = res[j.to[same]]
				res[i].Duplicate = true
				continue
			}
			done = layout.DeliveredKey(dv.QueueID, to.Key)
			if v := marks[i]; v != nil {
				res[i] = decodeDelivered(v)
				continue
			}
		}
		if to.HardLimit > 0 && t.total() >= to.HardLimit {
			res[i].Err = model.E("store.deliver", model.KindQuota, t.m.header.DisplayName, nil)
			continue
		}
		s, err := t.accept(to, e, &dv.Origin)
		if err != nil {
			res[i].Err = err
			continue
		}
		res[i] = Delivered{UID: s.UID(), OID: s.OID}
		if done != nil {
			v := binary.AppendUvarint([]byte{1}, uint64(t.now.Unix()))
			t.b.Set(done, binary.AppendUvarint(binary.AppendUvarint(v, uint64(s.UID())), uint64(s.OID)))
		}
	}
	return nil
}

func decodeDelivered(v []byte) Delivered {
	d := layout.NewReader(v)
	d.Byte()
	d.Uvarint()
	return Delivered{UID: UID(d.Uvarint()), OID: OID(d.Uvarint()), Duplicate: true}
}

// ForgetDelivered drops the marks of a message that has left the queue.
func (d *Database) ForgetDelivered(ctx context.Context, queueID string, keys []string) error {
	b := d.kv.NewBatch()
	b.Reclaim()
	for _, k := range keys {
		b.Delete(layout.DeliveredKey(queueID, k))
	}
	_, err := d.kv.Commit(ctx, b)
	return wrap("store.forget", d.opt.Name, err)
}

// Append stores items in a folder, all or none, and returns when they are
// durable. The results are in the order of items.
func (m *Mailbox) Append(ctx context.Context, folder FolderID, items ...*NewItem) ([]*State, error) {
	var out []*State
	if err := m.may("store.append", folder, RightCreate); err != nil {
		return nil, err
	}
	err := m.update(ctx, "store.append", func(t *txn) error {
		for _, it := range items {
			e, err := it.encode()
			if err != nil {
				return err
			}
			if err := t.room(e.size); err != nil {
				return err
			}
			e.addContent(t.b)
			s, err := t.insert(folder, e)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

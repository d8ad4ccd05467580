package store

import (
	"encoding/binary"
	"fmt"

	"rialto/internal/kv"
	"rialto/internal/store/content"
)

// outgoing lists the mail that is to be sent, and notes which content it needs.
// What can not be read goes.
func (r *repair) outgoing(need map[content.ID]int64) (list []*Outgoing, err error) {
	err = r.write(func(b kv.Batch) error {
		highest := OutboxID(0)
		err := r.scan([]byte{spaceOutbox}, func(k, v []byte) {
			var o *Outgoing
			bad := len(k) != 9
			if !bad {
				id := OutboxID(binary.BigEndian.Uint64(k[1:]))
				highest = max(highest, id)
				o, err = decodeOutgoing(id, v)
				bad = err != nil
			}
			if bad {
				b.Delete(k)
				r.Losses = append(r.Losses, Loss{What: fmt.Sprintf("a message that was to be sent, %x, is lost", k)})
				return
			}
			if o.Content != 0 {
				need[o.Content] = o.Size
			}
			o.Text, o.Trace = "", nil // not needed any more
			list = append(list, o)
		})
		if err != nil {
			return err
		}
		vals, err := r.kv.GetMany(r.ctx, [][]byte{factKey("outbox")})
		if err != nil {
			return err
		}
		// What was given and is gone is not known, nor whether the counter is the last
		// that there was.
		next := max(highest, outboxStart(r.opt.Clock()))
		if v := vals[0]; len(v) == 8 {
			next = max(next, OutboxID(binary.BigEndian.Uint64(v)))
		}
		putRestored(b, next+outboxBlock)
		return nil
	})
	return list, err
}

// keepOutgoing makes the references of the outbox anew. Mail whose source is
// lost can not be made and goes.
func (r *repair) keepOutgoing(list []*Outgoing) error {
	return r.write(func(kv.Batch) error {
		if err := r.dropRefs(outboxMailbox); err != nil {
			return err
		}
		for _, o := range list {
			switch {
			case o.Content == 0:
			case r.have[o.Content]:
				content.AddRef(r.b, o.Content, outboxMailbox, uint64(o.ID))
			default:
				r.b.Delete(outboxKey(o.ID))
				r.Losses = append(r.Losses, Loss{Mailbox: o.Owner.Name, Subject: o.Subject, From: o.Sender.String(), Date: o.Created,
					What: "a message that was to be sent has lost its source and is not sent"})
			}
			if err := r.flush(1 << 20); err != nil {
				return err
			}
		}
		return nil
	})
}

package fsck

import (
	"encoding/binary"
	"fmt"

	"rialto/internal/kv"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// outgoing lists the mail that is to be sent, and notes which content it needs.
// What can not be read goes.
func (r *repair) outgoing(need map[content.ID]int64) (list []*layout.Outgoing, err error) {
	err = r.write(func(b kv.Batch) error {
		highest := layout.OutboxID(0)
		err := r.scan([]byte{layout.SpaceOutbox}, func(k, v []byte) {
			var o *layout.Outgoing
			bad := len(k) != 9
			if !bad {
				id := layout.OutboxID(binary.BigEndian.Uint64(k[1:]))
				highest = max(highest, id)
				o, err = layout.DecodeOutgoing(id, v)
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
		vals, err := r.kv.GetMany(r.ctx, [][]byte{layout.FactKey("outbox")})
		if err != nil {
			return err
		}
		// What was given and is gone is not known, nor whether the counter is the last
		// that there was.
		next := max(highest, layout.OutboxStart(r.opt.Clock()))
		if v := vals[0]; len(v) == 8 {
			next = max(next, layout.OutboxID(binary.BigEndian.Uint64(v)))
		}
		layout.PutRestored(b, next+layout.OutboxBlock)
		return nil
	})
	return list, err
}

// keepOutgoing makes the references of the outbox anew. Mail whose source is
// lost can not be made and goes.
func (r *repair) keepOutgoing(list []*layout.Outgoing) error {
	return r.write(func(kv.Batch) error {
		if err := r.dropRefs(layout.OutboxMailbox); err != nil {
			return err
		}
		for _, o := range list {
			switch {
			case o.Content == 0:
			case r.have[o.Content]:
				content.AddRef(r.b, o.Content, layout.OutboxMailbox, uint64(o.ID))
			default:
				r.b.Delete(layout.OutboxKey(o.ID))
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

package transport

import (
	"context"
	"strconv"

	"rialto/internal/model"
)

// checkSendQuota refuses the message of a signed-in user whose mailbox, if it is
// here, is so full that its owner may not send.
func (s *Submission) checkSendQuota(ctx context.Context) error {
	if s.sender == nil || s.ses.System || s.sender.MailboxGUID.IsZero() {
		return nil
	}
	_, send, hard := s.cfg.Quotas(s.sender)
	if st := storeOf(s.cfg, s.sender.StoreGUID); s.sender.UseDefaults && st != nil {
		send, hard = st.SendQuota, st.HardQuota
	}
	limit := send
	if limit <= 0 || hard > 0 && hard < limit {
		limit = hard
	}
	if limit <= 0 {
		return nil
	}
	db, err := s.t.opt.Stores.Database(s.sender.StoreGUID)
	if err != nil {
		return nil // elsewhere, or not mounted: that is no reason to lose what was written
	}
	box, err := db.Mailbox(ctx, s.sender.MailboxGUID)
	if err != nil {
		return nil // nothing was delivered to it yet
	}
	used := box.Size()
	if used < limit {
		return nil
	}
	kb := func(n int64) string { return strconv.FormatInt((n+1023)/1024, 10) + " KB" }
	return refuse("transport.mail", model.KindQuota, s.sender.Name, 552, "5.2.2",
		"Your mailbox holds "+kb(used)+"; from "+kb(limit)+" on you cannot send. Delete what you no longer need and try again")
}

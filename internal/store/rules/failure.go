package rules

// ErrorCode is PidTagRuleError: why a rule was not carried out (MS-OXORULE
// 2.2.7.2).
type ErrorCode int32

// The codes in use.
const (
	ErrProcessing ErrorCode = 0x05 // the condition can not be evaluated
	ErrMoving     ErrorCode = 0x06 // into another folder, or copying there
	ErrPermission ErrorCode = 0x07 // for that folder
	ErrDeferring  ErrorCode = 0x08 // leaving something to a client
	ErrTemplate   ErrorCode = 0x0A // of a reply
	ErrExecuting  ErrorCode = 0x0B // anything else an action does
	ErrQuota      ErrorCode = 0x0C // of the mailbox
	ErrFull       ErrorCode = 0x0E // the folder is
)

// MaxErrors is how many rules are marked as in error, and their owner told, for
// one message. Further ones fail again with the next.
const MaxErrors = 4

// Failure is a rule that was not carried out, or one of its actions.
type Failure struct {
	Rule   *Rule
	Code   ErrorCode
	Action Action // nil: the failure is not that of an action
	Number int    // of Action in the rule, from 0
}

// Fail says that an effect did not come about.
func (e Effect) Fail(code ErrorCode) Failure { return Failure{e.Rule, code, e.Action, e.Number} }

// ActionType is PidTagRuleActionType: the wire's code of the action that failed,
// 0 if it was none (MS-OXORULE 2.2.7.3).
func (f *Failure) ActionType() int32 {
	if f.Action == nil {
		return 0
	}
	return int32(appendAction(nil, f.Action)[0])
}

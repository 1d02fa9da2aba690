package kafka

// AskAgain ends all pauses of clients with these options, those after a broker has
// refused and those after somebody who gives tickets or tokens has: an operator may have
// mended it, and wants to see it tried.
func (o Options) AskAgain() { accessOf(o).askAgain() }

func (a *access) askAgain() {
	a.gate.reset()
	if a.mechanism != nil {
		a.mechanism.askAgain()
	}
}

// followFiles ends the pauses once there are other credentials than those that were
// refused. Files of TLS are followed where they are read, and those of Kerberos by its
// login.
func (a *access) followFiles() {
	if b, ok := a.mechanism.(*bearer); ok && b.tokens.fileChanged() && a.gate.paused() {
		a.logger.Info("there is another token for Kafka; it is tried at once", "url", b.tokens.where())
		a.askAgain()
	}
}

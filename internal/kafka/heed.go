package kafka

import "context"

// Heed returns what f gives, or ctx's error as soon as ctx ends. franz-go's requests heed
// their context only on a connection that is there: one that is being opened they wait
// for, behind all others that need it, 10 s and more while a broker is silent. f then goes
// on by itself until it has its answer or its client is closed.
func Heed[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

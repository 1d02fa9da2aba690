// Package release makes a release of this platform, of a clone of the last commit in
// two folders, and looks at it as those who download it do: the sums, what is in the
// archive, that both are the same to the byte, and that the program runs and knows
// what it was built of.
package release

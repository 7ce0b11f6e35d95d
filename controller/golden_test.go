package controller

// goldenDigests are those of a search of 25 trials; see TestArithmeticIsWhatItWas.
var goldenDigests = map[string]string{
	PPO:       "e5088fd9ab1657492bab049710caad0ff04acff7790832c6619db1ac9df3aa5a",
	REINFORCE: "4f77772bbee94bb1e723e1de3e146f48bebf9ec14881255d02f68e512b71cf74",
	Random:    "c39df4e759870d9ab640c58cb7829754891ef80708aed9da33c9312fc866f943",
	Evolution: "5473c71254f164ffdee4514a9b78f129d774fa305fa082a7de4ca8bd9d77a79c",
}

package report

// The parts of NIST's OSCAL 1.1.3 that Bailey writes, under OSCAL's own names.
// OSCAL forbids empty lists, so that every list is left out where it is empty.

type (
	oscalMetadata struct {
		Title        string      `json:"title"`
		LastModified string      `json:"last-modified"`
		Version      string      `json:"version"`
		OSCALVersion string      `json:"oscal-version"`
		Props        []oscalProp `json:"props,omitempty"`
		Remarks      string      `json:"remarks,omitempty"`
	}
	oscalProp struct {
		Name    string `json:"name"`
		NS      string `json:"ns,omitempty"`
		Value   string `json:"value"`
		Class   string `json:"class,omitempty"`
		Remarks string `json:"remarks,omitempty"`
	}
	oscalLink struct {
		Href     string `json:"href"`
		Rel      string `json:"rel,omitempty"`
		Fragment string `json:"resource-fragment,omitempty"`
		Text     string `json:"text,omitempty"`
	}
	oscalBackMatter struct {
		Resources []oscalResource `json:"resources"`
	}
	oscalResource struct {
		UUID        string            `json:"uuid"`
		Title       string            `json:"title,omitempty"`
		Description string            `json:"description,omitempty"`
		Props       []oscalProp       `json:"props,omitempty"`
		DocumentIDs []oscalDocumentID `json:"document-ids,omitempty"`
		Rlinks      []oscalRlink      `json:"rlinks,omitempty"`
		Base64      *oscalBase64      `json:"base64,omitempty"`
		Remarks     string            `json:"remarks,omitempty"`
	}
	oscalDocumentID struct {
		Scheme     string `json:"scheme,omitempty"`
		Identifier string `json:"identifier"`
	}
	oscalRlink struct {
		Href      string      `json:"href"`
		MediaType string      `json:"media-type,omitempty"`
		Hashes    []oscalHash `json:"hashes,omitempty"`
	}
	oscalHash struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	}
	oscalBase64 struct {
		Filename  string `json:"filename"`
		MediaType string `json:"media-type"`
		Value     string `json:"value"`
	}
	oscalImport struct {
		Href    string `json:"href"`
		Remarks string `json:"remarks,omitempty"`
	}

	// What is common to plan and results.

	oscalComponent struct {
		UUID        string      `json:"uuid"`
		Type        string      `json:"type"`
		Title       string      `json:"title"`
		Description string      `json:"description"`
		Props       []oscalProp `json:"props,omitempty"`
		Links       []oscalLink `json:"links,omitempty"`
		Status      oscalState  `json:"status"`
	}
	oscalState struct {
		State   string `json:"state"`
		Reason  string `json:"reason,omitempty"`
		Remarks string `json:"remarks,omitempty"`
	}
	oscalInventoryItem struct {
		UUID        string      `json:"uuid"`
		Description string      `json:"description"`
		Props       []oscalProp `json:"props,omitempty"`
	}
	oscalAssets struct {
		Components []oscalComponent `json:"components,omitempty"`
		Platforms  []oscalPlatform  `json:"assessment-platforms"`
	}
	oscalPlatform struct {
		UUID  string     `json:"uuid"`
		Title string     `json:"title"`
		Uses  []oscalUse `json:"uses-components,omitempty"`
	}
	oscalUse struct {
		ComponentUUID string `json:"component-uuid"`
	}
	oscalReviewed struct {
		Description string                    `json:"description,omitempty"`
		Controls    []oscalControlSelection   `json:"control-selections"`
		Objectives  []oscalObjectiveSelection `json:"control-objective-selections,omitempty"`
	}
	oscalControlSelection struct {
		Description string                 `json:"description,omitempty"`
		Include     []oscalSelectedControl `json:"include-controls,omitempty"`
	}
	oscalSelectedControl struct {
		ControlID string `json:"control-id"`
	}
	oscalObjectiveSelection struct {
		Include []oscalSelectedObjective `json:"include-objectives,omitempty"`
	}
	oscalSelectedObjective struct {
		ObjectiveID string `json:"objective-id"`
	}
	oscalPart struct {
		ID    string      `json:"id,omitempty"`
		UUID  string      `json:"uuid,omitempty"`
		Name  string      `json:"name"`
		Title string      `json:"title,omitempty"`
		Props []oscalProp `json:"props,omitempty"`
		Prose string      `json:"prose,omitempty"`
	}
	oscalSubject struct {
		SubjectUUID string      `json:"subject-uuid"`
		Type        string      `json:"type"`
		Title       string      `json:"title,omitempty"`
		Props       []oscalProp `json:"props,omitempty"`
		Remarks     string      `json:"remarks,omitempty"`
	}
	oscalSubjects struct {
		Type    string         `json:"type"`
		Include []oscalSubject `json:"include-subjects,omitempty"`
	}
	oscalRelatedTask struct {
		TaskUUID string `json:"task-uuid"`
	}
	oscalOrigin struct {
		Actors []oscalActor       `json:"actors"`
		Tasks  []oscalRelatedTask `json:"related-tasks,omitempty"`
	}
	oscalActor struct {
		Type      string `json:"type"`
		ActorUUID string `json:"actor-uuid"`
	}
)

// The assessment plan.
type (
	oscalPlanDocument struct {
		Plan oscalPlan `json:"assessment-plan"`
	}
	oscalPlan struct {
		UUID       string               `json:"uuid"`
		Metadata   oscalMetadata        `json:"metadata"`
		ImportSSP  oscalImport          `json:"import-ssp"`
		Local      oscalPlanDefinitions `json:"local-definitions"`
		Terms      oscalTerms           `json:"terms-and-conditions"`
		Reviewed   oscalReviewed        `json:"reviewed-controls"`
		Subjects   []oscalSubjects      `json:"assessment-subjects,omitempty"`
		Assets     oscalAssets          `json:"assessment-assets"`
		Tasks      []oscalTask          `json:"tasks,omitempty"`
		BackMatter oscalBackMatter      `json:"back-matter"`
	}
	oscalPlanDefinitions struct {
		Components []oscalComponent `json:"components,omitempty"`
		Objectives []oscalObjective `json:"objectives-and-methods,omitempty"`
		Activities []oscalActivity  `json:"activities,omitempty"`
	}
	oscalObjective struct {
		ControlID   string      `json:"control-id"`
		Description string      `json:"description,omitempty"`
		Props       []oscalProp `json:"props,omitempty"`
		Parts       []oscalPart `json:"parts"`
	}
	oscalActivity struct {
		UUID        string         `json:"uuid"`
		Title       string         `json:"title"`
		Description string         `json:"description"`
		Props       []oscalProp    `json:"props,omitempty"`
		Steps       []oscalStep    `json:"steps,omitempty"`
		Related     *oscalReviewed `json:"related-controls,omitempty"`
	}
	oscalStep struct {
		UUID        string `json:"uuid"`
		Title       string `json:"title,omitempty"`
		Description string `json:"description"`
	}
	oscalTerms struct {
		Parts []oscalPart `json:"parts,omitempty"`
	}
	oscalTask struct {
		UUID        string                 `json:"uuid"`
		Type        string                 `json:"type"`
		Title       string                 `json:"title"`
		Description string                 `json:"description,omitempty"`
		Timing      *oscalTiming           `json:"timing,omitempty"`
		Activities  []oscalRelatedActivity `json:"associated-activities,omitempty"`
	}
	oscalTiming struct {
		AtFrequency oscalFrequency `json:"at-frequency"`
	}
	oscalFrequency struct {
		Period int    `json:"period"`
		Unit   string `json:"unit"`
	}
	oscalRelatedActivity struct {
		ActivityUUID string          `json:"activity-uuid"`
		Subjects     []oscalSubjects `json:"subjects"`
	}
)

// The assessment results.
type (
	oscalResultsDocument struct {
		Results oscalResults `json:"assessment-results"`
	}
	oscalResults struct {
		UUID       string          `json:"uuid"`
		Metadata   oscalMetadata   `json:"metadata"`
		ImportAP   oscalImport     `json:"import-ap"`
		Results    []oscalResult   `json:"results"`
		BackMatter oscalBackMatter `json:"back-matter"`
	}
	oscalResult struct {
		UUID         string                 `json:"uuid"`
		Title        string                 `json:"title"`
		Description  string                 `json:"description"`
		Start        string                 `json:"start"`
		End          string                 `json:"end"`
		Props        []oscalProp            `json:"props,omitempty"`
		Local        oscalResultDefinitions `json:"local-definitions"`
		Reviewed     oscalReviewed          `json:"reviewed-controls"`
		Log          oscalLog               `json:"assessment-log"`
		Observations []oscalObservation     `json:"observations,omitempty"`
		Risks        []oscalRisk            `json:"risks,omitempty"`
		Findings     []oscalFinding         `json:"findings,omitempty"`
		Remarks      string                 `json:"remarks,omitempty"`
	}
	oscalResultDefinitions struct {
		Components []oscalComponent     `json:"components,omitempty"`
		Inventory  []oscalInventoryItem `json:"inventory-items,omitempty"`
		Assets     oscalAssets          `json:"assessment-assets"`
	}
	oscalLog struct {
		Entries []oscalLogEntry `json:"entries"`
	}
	oscalLogEntry struct {
		UUID        string      `json:"uuid"`
		Title       string      `json:"title"`
		Description string      `json:"description,omitempty"`
		Start       string      `json:"start"`
		End         string      `json:"end"`
		Props       []oscalProp `json:"props,omitempty"`
	}
	oscalObservation struct {
		UUID        string          `json:"uuid"`
		Title       string          `json:"title"`
		Description string          `json:"description"`
		Props       []oscalProp     `json:"props,omitempty"`
		Methods     []string        `json:"methods"`
		Types       []string        `json:"types,omitempty"`
		Origins     []oscalOrigin   `json:"origins,omitempty"`
		Subjects    []oscalSubject  `json:"subjects,omitempty"`
		Evidence    []oscalEvidence `json:"relevant-evidence,omitempty"`
		Collected   string          `json:"collected"`
		Expires     string          `json:"expires,omitempty"`
		Remarks     string          `json:"remarks,omitempty"`
	}
	oscalEvidence struct {
		Href        string      `json:"href,omitempty"`
		Description string      `json:"description"`
		Props       []oscalProp `json:"props,omitempty"`
	}
	oscalRisk struct {
		UUID              string                    `json:"uuid"`
		Title             string                    `json:"title"`
		Description       string                    `json:"description"`
		Statement         string                    `json:"statement"`
		Props             []oscalProp               `json:"props,omitempty"`
		Status            string                    `json:"status"`
		Origins           []oscalOrigin             `json:"origins,omitempty"`
		Threats           []oscalThreat             `json:"threat-ids,omitempty"`
		Characterizations []oscalCharacterization   `json:"characterizations,omitempty"`
		Mitigating        []oscalMitigation         `json:"mitigating-factors,omitempty"`
		Deadline          string                    `json:"deadline,omitempty"`
		Remediations      []oscalResponse           `json:"remediations,omitempty"`
		Observations      []oscalRelatedObservation `json:"related-observations,omitempty"`
	}
	oscalThreat struct {
		System string `json:"system"`
		Href   string `json:"href,omitempty"`
		ID     string `json:"id"`
	}
	oscalCharacterization struct {
		Origin oscalOrigin  `json:"origin"`
		Facets []oscalFacet `json:"facets"`
	}
	oscalFacet struct {
		Name   string `json:"name"`
		System string `json:"system"`
		Value  string `json:"value"`
	}
	oscalMitigation struct {
		UUID        string `json:"uuid"`
		Description string `json:"description"`
	}
	oscalResponse struct {
		UUID        string `json:"uuid"`
		Lifecycle   string `json:"lifecycle"`
		Title       string `json:"title"`
		Description string `json:"description"`
	}
	oscalRelatedObservation struct {
		ObservationUUID string `json:"observation-uuid"`
	}
	oscalRelatedRisk struct {
		RiskUUID string `json:"risk-uuid"`
	}
	oscalFinding struct {
		UUID         string                    `json:"uuid"`
		Title        string                    `json:"title"`
		Description  string                    `json:"description"`
		Props        []oscalProp               `json:"props,omitempty"`
		Origins      []oscalOrigin             `json:"origins,omitempty"`
		Target       oscalTarget               `json:"target"`
		Observations []oscalRelatedObservation `json:"related-observations,omitempty"`
		Risks        []oscalRelatedRisk        `json:"related-risks,omitempty"`
		Remarks      string                    `json:"remarks,omitempty"`
	}
	oscalTarget struct {
		Type     string     `json:"type"`
		TargetID string     `json:"target-id"`
		Title    string     `json:"title,omitempty"`
		Status   oscalState `json:"status"`
	}
)

// The component definition, and the system security plan that stands in for
// the owner's.
type (
	oscalComponentsDocument struct {
		Definition oscalDefinition `json:"component-definition"`
	}
	oscalDefinition struct {
		UUID       string                  `json:"uuid"`
		Metadata   oscalMetadata           `json:"metadata"`
		Components []oscalDefinedComponent `json:"components"`
	}
	oscalDefinedComponent struct {
		UUID            string                `json:"uuid"`
		Type            string                `json:"type"`
		Title           string                `json:"title"`
		Description     string                `json:"description"`
		Props           []oscalProp           `json:"props,omitempty"`
		Implementations []oscalImplementation `json:"control-implementations,omitempty"`
	}
	oscalImplementation struct {
		UUID         string             `json:"uuid"`
		Source       string             `json:"source"`
		Description  string             `json:"description"`
		Requirements []oscalRequirement `json:"implemented-requirements"`
	}
	oscalRequirement struct {
		UUID        string      `json:"uuid"`
		ControlID   string      `json:"control-id"`
		Description string      `json:"description,omitempty"`
		Props       []oscalProp `json:"props,omitempty"`
		Remarks     string      `json:"remarks,omitempty"`
	}

	oscalSSPDocument struct {
		SSP oscalSSP `json:"system-security-plan"`
	}
	oscalSSP struct {
		UUID            string                    `json:"uuid"`
		Metadata        oscalMetadata             `json:"metadata"`
		ImportProfile   oscalImport               `json:"import-profile"`
		Characteristics oscalCharacteristics      `json:"system-characteristics"`
		Implementation  oscalSystemImplementation `json:"system-implementation"`
		Controls        oscalControlsImplemented  `json:"control-implementation"`
	}
	oscalCharacteristics struct {
		SystemIDs   []oscalSystemID  `json:"system-ids"`
		SystemName  string           `json:"system-name"`
		Description string           `json:"description"`
		Information oscalInformation `json:"system-information"`
		Status      oscalState       `json:"status"`
		Boundary    oscalDescribed   `json:"authorization-boundary"`
		Remarks     string           `json:"remarks,omitempty"`
	}
	oscalSystemID struct {
		ID string `json:"id"`
	}
	oscalInformation struct {
		Types []oscalInformationType `json:"information-types"`
	}
	oscalInformationType struct {
		UUID        string `json:"uuid"`
		Title       string `json:"title"`
		Description string `json:"description"`
	}
	oscalDescribed struct {
		Description string `json:"description"`
	}
	oscalSystemImplementation struct {
		Users      []oscalUser      `json:"users"`
		Components []oscalComponent `json:"components"`
	}
	oscalUser struct {
		UUID  string `json:"uuid"`
		Title string `json:"title"`
	}
	oscalControlsImplemented struct {
		Description  string             `json:"description"`
		Requirements []oscalRequirement `json:"implemented-requirements"`
	}
)
